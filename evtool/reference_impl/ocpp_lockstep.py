# SPDX-License-Identifier: GPL-3.0-or-later
"""The lockstep lines of a host program with MicroOcpp, in Python (docs/host-program.md).

The controller, a charge point above it, and between them what `firmware/lib/evocpp` does on the
device: cards and keys become sessions, the snapshot becomes the connector's inputs, OCPP's word
goes back once it has changed and every 500 ms, and the first turn waits for the vehicle.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.charge_point import (
    AskRegister,
    ChargePoint,
    Inputs,
    Persist,
    Restart,
    Send,
    Settings,
)
from evtool.reference_impl.charge_point.mode import MICROOCPP_1_2_0, Mode
from evtool.reference_impl.charge_point.session import Phase
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    MAX_TIME_MS,
    BootInfo,
    Config,
    OcppStart,
    OcppStop,
    OcppWord,
    Snapshot,
)
from evtool.reference_impl.line_format import (
    TickCommand,
    output_line,
    parse_command,
    parse_number,
    state_line,
)
from evtool.reference_impl.lockstep import OK, apply_command

HEAR_VEHICLE_MS = 3_500
"""A BMS counts as silent after 3000 ms, so by then it is known whether there is one."""

FIRMWARE_VERSION = "0.1.0"
RECONNECT_MS = 5_000
REPEAT_WORD_MS = 500

FIRMWARE = replace(
    MICROOCPP_1_2_0,
    name="firmware",
    authorizes_listed=False,
    has_cache=True,
    cache_entries=20,
    keeps_cache=False,
    asks_without_cache=True,
    clears_unused_cache=True,
    put_off_ms=5_000,
    takes_turns=True,
    keeps_meter_values=False,
    smart_charging=replace(
        MICROOCPP_1_2_0.smart_charging,
        max_stack_level=7,
        mends_composites=True,
        refuses_before=True,
    ),
    starts_on_connector_zero=False,
    hides_faulted_use=False,
    lost_vehicle_is_power_loss=True,
    data_transfer_status="UnknownVendorId",
    reports_cleared_errors=True,
    refusals_unanswered=frozenset({"Authorize", "StopTransaction"}),
    absent_keys=MICROOCPP_1_2_0.absent_keys
    - {"AuthorizationCacheEnabled", "ConnectorPhaseRotation"},
    defaults=MappingProxyType(
        {
            **MICROOCPP_1_2_0.defaults,
            "ChargeProfileMaxStackLevel": "7",
            "ConnectorPhaseRotation": "0.NotApplicable,1.NotApplicable",
            "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Voltage,"
            "Current.Import,Current.Offered,Temperature,SoC",
            # Updates and uploads know no time but the real one.
            "SupportedFeatureProfiles": "Core,LocalAuthListManagement,Reservation,SmartCharging,"
            "RemoteTrigger",
        }
    ),
)
"""The library as `firmware/lib/evocpp` uses it: with the defects of docs/firmware.md, What is kept
off the wire, put right."""


class OcppLockstep:
    """What `program --lockstep` does once it was told an identity.

    Args:
        mode: of the charge point.
        nonce: the number in the message ids of the first boot; each later one counts one up.

    Attributes:
        stored: what the charge point has asked to keep; it outlives a boot.
    """

    def __init__(self, mode: Mode = FIRMWARE, nonce: int = 0) -> None:
        self._mode = mode
        self.stored: dict[str, str] = {}
        self._identity: dict[str, str] = {}
        self._nonce = nonce
        self._config = Config()
        self._controller: Controller | None = None
        self._station: _Station | None = None
        self._lines: list[str] = []
        self._told: Snapshot | None = None
        self._told_line = ""

    def answer(self, line: str) -> list[str]:
        """Answer one command line: outputs, the state, `ok`; or `malformed <reason>`."""
        stamp, space, text = line.partition(" ")
        now_ms = parse_number(stamp[1:], MAX_TIME_MS) if stamp.startswith("@") else None
        if now_ms is None or not space:
            return ["malformed bad time"]
        self._lines = []
        wrong = self._take(text, now_ms)
        if wrong is not None:
            return [f"malformed {wrong}"]
        station = self._station
        if station is not None and station.restart_wanted:
            self._controller = self._station = None
            return [*self._lines, "off restart", OK]
        if self._controller is None or text.startswith(("config ", "nvs ")):
            return [*self._lines, OK]
        snapshot = self._controller.snapshot(now_ms)
        if snapshot != self._told:  # most inputs change nothing that the line says
            self._told, self._told_line = snapshot, state_line(snapshot)
        return [*self._lines, self._told_line, OK]

    def _take(self, text: str, now_ms: int) -> str | None:
        """Obey; what is wrong with the line, or None."""
        verb, _, rest = text.partition(" ")
        if verb == "nvs":
            return self._take_identity(rest)
        if verb in ("ws", "card", "error"):
            if self._station is not None:
                self._take_ocpp(self._station, verb, rest, now_ms)
            return None  # without power nobody hears it
        command = parse_command(text, self._config)
        if isinstance(command, Malformed):
            return command.reason
        if isinstance(command, Config):
            self._config = command
        elif isinstance(command, BootInfo):
            self._boot(command, now_ms)
        elif self._station is not None and isinstance(command, OcppWord):
            return "a charge point alone says what OCPP permits"
        elif self._controller is not None:
            apply_command(self._controller, command, now_ms)
            self._carry_out(now_ms)
            if isinstance(command, TickCommand) and self._station is not None:
                self._turn(self._station, now_ms)
        return None

    def _take_identity(self, rest: str) -> str | None:
        match rest.split(" "):
            case ["evcfg", key, "str", text]:
                self._identity[key] = bytes.fromhex(text).decode()
            case ["evcfg", _, _, _]:
                pass
            case _:
                return "nvs wants a namespace, a key, a type and a value"
        return None

    def _boot(self, boot: BootInfo, now_ms: int) -> None:
        self._station = None
        self._controller = Controller(self._config, boot)
        self._controller.boot(now_ms)
        self._carry_out(now_ms)
        if self._identity:
            self._station = _Station(self._settings(boot), self._identity, now_ms)
            self._station.charge_point.tick(now_ms)
            self._nonce += 1

    def _settings(self, boot: BootInfo) -> Settings:
        identity = self._identity
        return Settings(
            vendor=identity["vendor"],
            model=identity["model"],
            serial_number=identity.get("serial", ""),
            charge_box_serial_number=identity.get("serial", ""),
            max_current_ma=self._config.max_current_ma,
            voltage_mv=self._config.max_voltage_mv,
            firmware_version=FIRMWARE_VERSION,
            id_prefix=f"{self._nonce:x}",
            restart_reason="PowerLoss" if boot.reset == "power_on" else "Reboot",
            stored=dict(self.stored),
            mode=self._mode,
        )

    def _take_ocpp(self, station: _Station, verb: str, rest: str, now_ms: int) -> None:
        if verb == "card":
            station.present(rest, now_ms)
        elif verb == "error":
            station.error = None if rest == "-" else rest
        elif rest == "open" and self._mode.takes_turns:
            station.charge_point.on_open(now_ms)
        elif rest == "open":
            station.open_wanted = True
        elif rest == "closed":
            station.connect_at_ms = now_ms + RECONNECT_MS
            if not station.open_wanted:
                station.charge_point.on_closed(now_ms)
            station.open_wanted = False
        elif rest.startswith("recv "):
            self._hear(station, rest[5:], now_ms)
        self._drain(station, now_ms)

    def _hear(self, station: _Station, text: str, now_ms: int) -> None:
        """What came from the CSMS finds the inputs of this moment."""
        if self._controller is not None:
            inputs = station.inputs(Inputs.of(self._controller.snapshot(now_ms)))
            station.charge_point.connectors[0].on_inputs(inputs)
        station.charge_point.on_text(text, now_ms)

    def _turn(self, station: _Station, now_ms: int) -> None:
        controller = self._controller
        if controller is None:
            return
        if station.connect_at_ms is not None and now_ms >= station.connect_at_ms:
            station.connect_at_ms = None
            self._lines.append(f"ws connect {station.url} -")
        snapshot = controller.snapshot(now_ms)
        if not station.hears_vehicle(snapshot.plugged, now_ms):
            return
        if station.open_wanted:
            station.open_wanted = False
            station.charge_point.on_open(now_ms)
        station.charge_point.on_inputs(station.inputs(Inputs.of(snapshot)), now_ms)
        station.present_waiting(now_ms)
        self._drain(station, now_ms)
        word = station.word_due(now_ms)
        if word is not None:
            controller.on_ocpp(word, now_ms)
            self._carry_out(now_ms)

    def _carry_out(self, now_ms: int) -> None:
        """What the controller puts out: a line, or a wish for the charge point."""
        if self._controller is None:
            return
        for output in self._controller.drain():
            if self._station is not None and isinstance(output, OcppStart):
                self._station.present_key(output.id_tag, now_ms)
            elif self._station is not None and isinstance(output, OcppStop):
                self._station.charge_point.on_stop_request(output.reason, now_ms)
            else:
                self._lines.append(output_line(output))

    def _drain(self, station: _Station, now_ms: int) -> None:
        while outputs := station.charge_point.drain():
            for each in outputs:
                if isinstance(each, Persist) and each.value is None:
                    self.stored.pop(each.key, None)
                elif isinstance(each, Persist) and each.value is not None:
                    self.stored[each.key] = each.value
            for output in outputs:
                match output:
                    case Send(text):
                        self._lines.append(f"ws send {text}")
                    case AskRegister(report) if self._controller is not None:
                        self._controller.on_report(report, now_ms)
                        self._carry_out(now_ms)
                        told = Inputs.of(self._controller.snapshot(now_ms))
                        station.charge_point.on_inputs(station.inputs(told), now_ms)
                    case Restart():
                        station.restart_wanted = True


class _Station:
    """One life of the charge point, from a boot to the next."""

    def __init__(self, settings: Settings, identity: dict[str, str], now_ms: int) -> None:
        self.url = f"{identity['csms_url']}/{identity['cp_id']}"
        self.connect_at_ms: int | None = now_ms
        self.error: str | None = None
        self.restart_wanted = False
        self.open_wanted = False
        self.charge_point = ChargePoint(settings)
        self._booted_ms = now_ms
        self._heard = False
        self._waiting_card = ""
        self._said: OcppWord | None = None
        self._say_at_ms = 0

    def hears_vehicle(self, plugged: bool, now_ms: int) -> bool:
        """Whether the vehicle is known, or has had its time to be heard."""
        self._heard = self._heard or plugged or now_ms - self._booted_ms >= HEAR_VEHICLE_MS
        return self._heard

    def inputs(self, inputs: Inputs) -> Inputs:
        """With the error that a test has reported."""
        if self.error is None:
            return inputs
        return replace(inputs, faulted=True, error=self.error)

    def present(self, id_tag: str, now_ms: int) -> None:
        """A card: it begins a session where there is none, and the one that began it ends it."""
        session = self.charge_point.connectors[0].session
        began = session.id_tag
        if session.phase is Phase.AUTHORIZING and began != id_tag:
            self._waiting_card = id_tag  # it takes its turn where the one before may not begin
        elif not began:
            self.charge_point.on_start_request(id_tag, now_ms)
        elif began == id_tag:
            self.charge_point.on_stop_request("Local", now_ms, id_tag=id_tag)
        else:
            self.charge_point.on_card(id_tag, now_ms)  # of the same parent, it may end it

    def present_waiting(self, now_ms: int) -> None:
        """Whether the card before may begin is decided: the one after it takes its turn, or not."""
        phase = self.charge_point.connectors[0].session.phase
        if self._waiting_card and phase is not Phase.AUTHORIZING:
            id_tag, self._waiting_card = self._waiting_card, ""
            if phase is Phase.IDLE:
                self.charge_point.on_start_request(id_tag, now_ms)

    def present_key(self, id_tag: str, now_ms: int) -> None:
        """The console's `s`."""
        self.charge_point.on_start_request(id_tag, now_ms)

    def word_due(self, now_ms: int) -> OcppWord | None:
        """The word where it is time to say it."""
        word = self.charge_point.word()
        if self.error is not None:
            word = replace(word, permitted=False)
        if word == self._said and now_ms < self._say_at_ms:
            return None
        self._said, self._say_at_ms = word, now_ms + REPEAT_WORD_MS
        return word
