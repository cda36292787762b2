# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge controller: every decision about charging. The oracle for the firmware's evcore.

Time and input come in as arguments, what is to be done goes out through `drain`. Every input
first lets time pass (so that what has become stale is acted upon before the new input counts),
then takes effect, then everything is evaluated anew and what is due goes out. The rules are in
docs/controller.md; this file only puts their parts in order.
"""

from __future__ import annotations

from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_tables import (
    CapacityQuery,
    ChargeFeedback,
    ControlRequest,
    DischargeQuery,
    TelemetryRequest,
)
from evtool.reference_impl import console, module_commands
from evtool.reference_impl.bms import Bms
from evtool.reference_impl.bus_watch import BusWatch
from evtool.reference_impl.charge_gate import GateFacts, judge, judge_permission
from evtool.reference_impl.controller_types import (
    MAX_TIME_MS,
    MODULE_BUS,
    BootInfo,
    BusState,
    CapacitySource,
    Config,
    ConsoleText,
    Fault,
    GateReason,
    OcppStart,
    OcppStop,
    OcppWord,
    Output,
    Recover,
    Report,
    SendFrame,
    Snapshot,
    Store,
    View,
)
from evtool.reference_impl.faults import FaultFacts, FaultMonitor, error_code
from evtool.reference_impl.freshness import Every
from evtool.reference_impl.known import Known, look
from evtool.reference_impl.meter import Meter
from evtool.reference_impl.numbers import power_mw
from evtool.reference_impl.permission import Permission
from evtool.reference_impl.power_module import FRESH_MS, NOTHING, Heard, PowerModule
from evtool.reference_impl.setpoint import current_cap_ma, wanted_setpoint

REPEAT_MS = 500
SETPOINT_SPACING_MS = 100
STORE_MS = 60000
REPORT_SPACING_MS = {Report.SAMPLE: 9000, Report.TRANSACTION: 0}
RECORD_MS = 1000


class Controller:
    """See the module; the firmware's twin is evcore::Controller, method for method."""

    def __init__(self, config: Config, boot_info: BootInfo) -> None:
        self._config = config
        self._boot_info = boot_info
        self._booted = False
        self._boot_ms = 0
        self._now_ms = 0
        self._outputs: list[Output] = []
        self._bms = Bms(config)
        self._module = PowerModule(config)
        self._faults = FaultMonitor()
        self._buses = BusWatch(config.bus_count)
        self._meter = Meter(boot_info.energy_mwh)
        self._permission = Permission()
        self._malformed = 0
        self._energised = False
        self._off_since_ms = 0
        self._switch_sent_ms = 0
        self._setpoint_mv = 0
        self._setpoint_ma = 0
        self._setpoint_sent_ms = 0
        self._plugged = False
        self._connected = False
        self._permitted = False
        self._known_faults: tuple[Fault, ...] = ()
        self._stored_mwh = self._meter.register_mwh
        self._stored_ms = 0
        self._view = View.MUTE
        self._control = Every(ControlRequest.PERIOD_MS)
        self._telemetry = Every(TelemetryRequest.PERIOD_MS)
        self._feedback = Every(ChargeFeedback.PERIOD_MS)
        self._capacity = Every(CapacityQuery.PERIOD_MS)
        self._records = Every(RECORD_MS)
        self._control_turn = 0
        self._telemetry_turn = 0
        self._known = self._look(0)

    # Inputs

    def boot(self, now_ms: int) -> None:
        """Start: say who this is, and tell the module off before anything else is known."""
        if self._booted:
            return
        self._booted = True
        now_ms = self._advance_clock(now_ms)
        self._boot_ms = now_ms
        self._stored_ms = now_ms
        self._buses.start(now_ms)
        for period in (self._control, self._telemetry, self._feedback, self._capacity):
            period.start(now_ms)
        self._print(console.boot_event(self._boot_info))
        self._print(console.MENU)
        self._tell_off(now_ms)
        self._settle(now_ms)

    def on_frame(self, bus: int, frame: CanFrame, now_ms: int) -> None:
        """A frame was received on `bus`."""
        if not self._booted:
            return
        now_ms = self._let_time_pass(now_ms)
        if bus == self._config.bms_bus and isinstance(self._bms.receive(frame, now_ms), Malformed):
            self._malformed += 1
        heard = NOTHING
        if bus == MODULE_BUS:
            heard = self._module.receive(frame, now_ms)
        self._known = self._look(now_ms)
        self._judge_samples(heard, now_ms)
        self._settle(now_ms)

    def on_key(self, key: int, now_ms: int) -> None:
        """A byte came from the console; bytes without a meaning are ignored."""
        if not self._booted:
            return
        now_ms = self._let_time_pass(now_ms)
        letter = chr(key).lower() if key < 0x80 else ""
        if letter == "s":
            self._start_by_key()
        elif letter == "t":
            self._stop_by_key()
        elif letter in ("m", "?"):
            self._print(console.MENU)
        elif letter in {view.value for view in View}:
            self._view = View(letter)
            self._records.start(now_ms)
        self._settle(now_ms)

    def on_ocpp(self, word: OcppWord, now_ms: int) -> None:
        """OCPP says what holds."""
        if not self._booted:
            return
        now_ms = self._let_time_pass(now_ms)
        was_running = self._permission.in_transaction()
        self._permission.set(word, now_ms)
        self._known = self._look(now_ms)
        if word.transaction and not was_running:
            self._meter.start_session()
            self._event("transaction state=started")
        elif was_running and not word.transaction:
            self._meter.end_session()
            self._event("transaction state=ended")
            self._store(now_ms)
        self._settle(now_ms)

    def on_bus(self, bus: int, state: BusState, now_ms: int) -> None:
        """A CAN controller reports its state."""
        if not self._booted:
            return
        now_ms = self._let_time_pass(now_ms)
        if self._buses.knows(bus):
            if state is not self._buses.state(bus):
                self._event(f"bus bus={bus} state={state.value}")
            if self._buses.set(bus, state) and bus == MODULE_BUS:
                self._tell_off(now_ms)  # what was sent meanwhile is lost
        self._settle(now_ms)

    def on_report(self, report: Report, now_ms: int) -> None:
        """OCPP is about to tell the register: no more than what is stored after this."""
        if not self._booted:
            return
        self._settle(self._let_time_pass(now_ms), REPORT_SPACING_MS[report])

    def tick(self, now_ms: int) -> None:
        """Time has come to this point."""
        if not self._booted:
            return
        now_ms = self._advance_clock(now_ms)
        self._known = self._look(now_ms)
        self._settle(now_ms)  # with no input in between, once is enough

    def drain(self) -> list[Output]:
        """What is to be done, in this order; call it after every input."""
        outputs, self._outputs = self._outputs, []
        return outputs

    # What happens in every input

    def _advance_clock(self, now_ms: int) -> int:
        self._now_ms = min(max(now_ms, self._now_ms), MAX_TIME_MS)
        return self._now_ms

    def _let_time_pass(self, now_ms: int) -> int:
        now_ms = self._advance_clock(now_ms)
        self._known = self._look(now_ms)
        self._evaluate(now_ms)
        return now_ms

    def _settle(self, now_ms: int, store_ms: int = STORE_MS) -> None:
        self._evaluate(now_ms)
        self._send_what_is_due(now_ms)
        if self._view is not View.MUTE and self._records.due(now_ms):
            for record in console.view_records(
                self._view, self._bms, self._module, self._meter, now_ms
            ):
                self._print(record)
        if self._meter.register_mwh != self._stored_mwh and now_ms - self._stored_ms >= store_ms:
            self._store(now_ms)
        for bus in self._buses.due_recoveries(now_ms):
            self._event(f"recover bus={bus}")
            self._outputs.append(Recover(bus))

    def _evaluate(self, now_ms: int) -> None:
        known = self._known
        self._note_plug(known.request is not None)
        self._evaluate_faults(known, now_ms)
        self._note_word(known.word)
        reason = self._judge(known)
        if self._energised and reason is not GateReason.OPEN:
            self._close_gate(reason, now_ms)
        elif reason is GateReason.OPEN:
            wanted = wanted_setpoint(self._config, known.request, known.word)
            if not self._energised:
                self._open_gate(wanted, now_ms)
            elif (
                wanted != (self._setpoint_mv, self._setpoint_ma)
                and now_ms - self._setpoint_sent_ms >= SETPOINT_SPACING_MS
            ):
                self._send_setpoint(wanted, now_ms)

    def _look(self, now_ms: int) -> Known:
        return look(self._bms, self._module, self._permission, now_ms)

    def _note_plug(self, plugged: bool) -> None:
        if plugged != self._plugged:
            self._plugged = plugged
            self._event(f"plug state={'in' if plugged else 'out'}")
            if not plugged:
                self._bms.forget_pack()

    def _evaluate_faults(self, known: Known, now_ms: int) -> None:
        facts = FaultFacts(
            self._plugged,
            self._energised,
            known.measured_mv,
            known.measured_ma,
            known.temperature_mdegc,
            known.module_on,
            self._buses.any_bus_off(),
            self._buses.all_running(),
        )
        self._faults.evaluate(facts, now_ms)
        active = self._faults.active()
        if active != self._known_faults:
            self._tell_faults(active)
            self._known_faults = active

    def _tell_faults(self, active: tuple[Fault, ...]) -> None:
        for fault in Fault:
            if (fault in active) != (fault in self._known_faults):
                state = "set" if fault in active else "cleared"
                self._event(f"fault name={fault.value} state={state}")

    def _note_word(self, word: OcppWord | None) -> None:
        connected = word is not None and word.connected
        if connected != self._connected:
            self._connected = connected
            self._event(f"ocpp state={'connected' if connected else 'disconnected'}")
        permitted = judge_permission(word) is GateReason.OPEN
        if permitted != self._permitted:
            self._permitted = permitted
            self._event(f"permit state={'granted' if permitted else 'withdrawn'}")

    def _judge_samples(self, heard: Heard, now_ms: int) -> None:
        if heard.malformed:
            self._malformed += 1
            return
        millivolts, milliamperes = self._known.measured_mv, self._known.measured_ma
        if self._energised:
            if heard.voltage and millivolts is not None:
                self._faults.judge_voltage(millivolts, self._setpoint_mv, now_ms)
            if heard.current and milliamperes is not None:
                self._faults.judge_current(milliamperes, self._setpoint_ma, now_ms)
        else:
            self._faults.judge_obedience(
                heard.state and self._known.module_on is True,
                milliamperes if heard.current and milliamperes is not None else 0,
                now_ms - self._off_since_ms,
            )
        if (heard.voltage or heard.current) and not (millivolts is None or milliamperes is None):
            self._meter.sample(millivolts, milliamperes, now_ms)

    # Facts

    def _judge(self, known: Known) -> GateReason:
        request = known.request
        return judge(
            GateFacts(
                request is not None,
                request is not None and request.allowed,
                request is not None and self._bms.in_range(request),
                self._buses.all_running(),
                bool(self._faults.active()),
                known.module_alive,
                known.temperature_mdegc,
                known.word,
            )
        )

    def _error(self, known: Known, now_ms: int) -> str:
        silence_ms = self._module.silence_ms(now_ms)
        if silence_ms is None:
            silence_ms = now_ms - self._boot_ms  # a module has time to say its first word
        return error_code(
            self._faults.active(),
            module_silent=silence_ms > FRESH_MS,
            bms_silent_in_transaction=(known.request is None and self._permission.in_transaction()),
        )

    # The module

    def _open_gate(self, wanted: tuple[int, int], now_ms: int) -> None:
        self._energised = True
        self._event("gate state=open")
        self._send_setpoint(wanted, now_ms)
        self._send_switch(now_ms)

    def _close_gate(self, reason: GateReason, now_ms: int) -> None:
        self._energised = False
        self._setpoint_mv = self._setpoint_ma = 0
        self._event(f"gate state=closed reason={reason.value}")
        self._tell_off(now_ms)

    def _tell_off(self, now_ms: int) -> None:
        """Off, ahead of all frames; commands that were not fetched yet must not follow it."""
        self._outputs = [
            output
            for output in self._outputs
            if not (isinstance(output, SendFrame) and output.frame.can_id == ControlRequest.ID)
        ]
        self._outputs.insert(0, SendFrame(MODULE_BUS, module_commands.switch(False), urgent=True))
        self._switch_sent_ms = now_ms
        self._off_since_ms = now_ms

    def _send_switch(self, now_ms: int) -> None:
        frame = module_commands.switch(self._energised)
        self._outputs.append(SendFrame(MODULE_BUS, frame, urgent=not self._energised))
        self._switch_sent_ms = now_ms

    def _send_setpoint(self, wanted: tuple[int, int], now_ms: int) -> None:
        self._setpoint_mv, self._setpoint_ma = wanted
        self._setpoint_sent_ms = now_ms
        self._send(MODULE_BUS, module_commands.voltage_setpoint(self._setpoint_mv))
        self._send(MODULE_BUS, module_commands.current_setpoint(self._setpoint_ma))

    def _send_what_is_due(self, now_ms: int) -> None:
        if now_ms - self._switch_sent_ms >= REPEAT_MS:
            self._send_switch(now_ms)
        module_bus_up = self._buses.transmits(MODULE_BUS)
        if self._control.due(now_ms) and module_bus_up:
            self._send_control_turn(now_ms)
        if self._telemetry.due(now_ms) and module_bus_up:
            turns = module_commands.TELEMETRY_TURNS
            self._send(MODULE_BUS, module_commands.telemetry(turns[self._telemetry_turn]))
            self._telemetry_turn = (self._telemetry_turn + 1) % len(turns)
        bms_bus = self._config.bms_bus
        bms_bus_up = self._buses.transmits(bms_bus)
        if self._feedback.due(now_ms) and bms_bus_up:
            self._send(bms_bus, self._feedback_frame(now_ms))
        if self._capacity.due(now_ms) and bms_bus_up:
            self._send(bms_bus, CanFrame(CapacityQuery.ID, bytes(CapacityQuery.LENGTH)))
            if self._config.capacity_source is CapacitySource.CHARGED_MINUS_DISCHARGED:
                self._send(bms_bus, CanFrame(DischargeQuery.ID, bytes(DischargeQuery.LENGTH)))

    def _send_control_turn(self, now_ms: int) -> None:
        if self._control_turn == 0:
            self._send_switch(now_ms)
        elif self._control_turn == 1:
            self._send(MODULE_BUS, module_commands.voltage_setpoint(self._setpoint_mv))
        else:
            self._send(MODULE_BUS, module_commands.current_setpoint(self._setpoint_ma))
        self._control_turn = (self._control_turn + 1) % 3

    def _feedback_frame(self, now_ms: int) -> CanFrame:
        return module_commands.feedback(
            self._known.measured_mv or 0,
            self._known.measured_ma or 0,
            self._feedback_flags(self._known, now_ms),
        )

    def _feedback_flags(self, known: Known, now_ms: int) -> int:
        return module_commands.feedback_flags(
            self._faults.active(),
            plugged=known.request is not None,
            silent=self._bms.silent(now_ms),
        )

    # Console, store

    def _start_by_key(self) -> None:
        refusal = self._start_refusal()
        if refusal:
            self._event(f"start state=refused reason={refusal}")
            return
        self._event("start state=requested")
        self._outputs.append(OcppStart(self._config.id_tag))

    def _start_refusal(self) -> str:
        request, word = self._known.request, self._known.word
        reasons = (
            ("no_vehicle", request is None),
            ("vehicle_switch_off", request is None or not request.allowed),
            ("not_connected", word is None or not word.connected),
            ("fault", bool(self._faults.active())),
            ("already_charging", self._permission.in_transaction()),
            ("no_id_tag", not self._config.id_tag),
        )
        return next((name for name, holds in reasons if holds), "")

    def _stop_by_key(self) -> None:
        if not self._permission.in_transaction():
            self._event("stop state=refused reason=no_transaction")
            return
        self._event("stop state=requested reason=Local")
        self._outputs.append(OcppStop("Local"))

    def _store(self, now_ms: int) -> None:
        self._stored_mwh = self._meter.register_mwh
        self._stored_ms = now_ms
        self._outputs.append(Store("energy_mwh", self._stored_mwh))

    def _send(self, bus: int, frame: CanFrame) -> None:
        self._outputs.append(SendFrame(bus, frame))

    def _print(self, line: str) -> None:
        self._outputs.append(ConsoleText(line))

    def _event(self, text: str) -> None:
        self._print(f"[event] {text}")

    def snapshot(self, now_ms: int) -> Snapshot:
        """Everything that is known at `now_ms`, which is not before the last input."""
        now_ms = min(max(now_ms, self._now_ms), MAX_TIME_MS)
        known = self._known if now_ms == self._now_ms else self._look(now_ms)
        request, word = known.request, known.word
        millivolts, milliamperes = known.measured_mv, known.measured_ma
        power = None
        if millivolts is not None and milliamperes is not None:
            power = power_mw(millivolts, milliamperes)
        plugged = request is not None
        in_range = request is not None and self._bms.in_range(request)
        faults = self._faults.active()
        evse_ready = known.module_alive and self._buses.all_running() and not faults
        permitted = judge_permission(word) is GateReason.OPEN
        return Snapshot(
            plugged=plugged,
            bms_alive=plugged,
            in_range=in_range,
            ev_ready=in_range and request is not None and request.allowed,
            module_alive=known.module_alive,
            evse_ready=evse_ready,
            connected=word is not None and word.connected,
            transaction=self._permission.in_transaction(),
            permitted=permitted,
            energised=self._energised,
            gate=self._judge(known),
            faults=faults,
            error=self._error(known, now_ms),
            limit_ma=None if word is None else word.limit_ma,
            requested_mv=None if request is None else request.voltage_mv,
            requested_ma=None if request is None else request.current_ma,
            setpoint_mv=self._setpoint_mv,
            setpoint_ma=self._setpoint_ma,
            offered_ma=current_cap_ma(self._config, word) if evse_ready and permitted else 0,
            measured_mv=millivolts,
            measured_ma=milliamperes,
            power_mw=power,
            temperature_mdegc=known.temperature_mdegc,
            soc_permille=self._bms.soc_permille(now_ms),
            energy_mwh=self._meter.register_mwh,
            stored_mwh=self._stored_mwh,
            session_mwh=self._meter.session_mwh(),
            module=known.module_on,
            flags=self._feedback_flags(known, now_ms),
            malformed=self._malformed,
            bus=self._buses.states(),
            view=self._view,
        )
