# SPDX-License-Identifier: GPL-3.0-or-later
"""One charge point lives through a scenario: vehicle, power module and central system around it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from evtool.protocol.can_frame import Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.verify.bench_moves import frame_of_event, make_bench, move_bench
from evtool.verify.ocpp.csms import Oddity, ScriptedCsms
from evtool.verify.ocpp.record import Happening, Record
from evtool.verify.ocpp.unit import Unit
from evtool.verify.scenario import Scenario

RESTART_MS = 1_000
SETTLE_MS = 2_000
"""How long a scenario goes on for the answers to its last question."""

IDENTITY = {
    "cp_id": "CP-VERIFY",
    "vendor": "evtool",
    "model": "verify",
    "serial": "SN-1",
    "csms_url": "ws://127.0.0.1:9/ocpp",
    "wifi_ssid": "site",
    "id_tag": "LOCAL",
}
# What is compared, or what a sample is judged by.
_FIELDS = (
    "transaction", "permitted", "limit_ma", "energised", "stored_mwh", "power_mw", "measured_mv",
    "measured_ma", "offered_ma", "temperature_mdegc", "soc_permille", "plugged", "error",
)  # fmt: skip


class Life:
    """Plays `scenario` on `unit`; `record` holds what came of it until `now_ms`.

    Args:
        unit: from a fresh flash on.
    """

    def __init__(self, scenario: Scenario, unit: Unit) -> None:
        self.record = Record()
        options: Mapping[str, Any] = scenario.ocpp or {}
        self._scenario = scenario
        self._unit = unit
        self._config = {"id_tag": "LOCAL"} | dict(scenario.config)
        self._bench = make_bench(scenario.config, now_ms=0)
        self._csms = ScriptedCsms(
            options.get("boot", ["Accepted"]), options.get("interval", 86_400), self.record
        )
        self._settings = dict(options.get("configuration", {}))
        for id_tag, status in options.get("id_tags", {}).items():
            self._csms.id_tags[id_tag] = {"status": status}
        self._frames: list[str] = []
        self._lines: list[str] = []
        self._bus_runs = True
        self._stored_mwh = "0"
        self._boot_at_ms: int | None = None
        self._reset = "power_on"
        self.now_ms = 0
        self._seen = ""

    def run(self) -> Record:
        """Live through it.

        Raises:
            UnitGaveUp: the unit crashed, hung or refused a line.
        """
        scenario = self._scenario
        self._boot("power_on", first=True)
        pending = deque(scenario.events)
        end_ms = scenario.duration_ms
        for now_ms in range(0, end_ms + 1, scenario.tick_ms):
            self.now_ms = now_ms
            while pending and pending[0].at_ms <= now_ms:
                event = pending.popleft()
                if event.action is not None:
                    self._act(event.action, event.parameters)
            self._step()
            self._settle_in()
        self._csms.silent = False
        self._csms.call("GetConfiguration", {}, self.now_ms)
        for now_ms in range(self.now_ms, end_ms + SETTLE_MS, scenario.tick_ms):
            self.now_ms = now_ms
            self._step()
        return self.record

    def _settle_in(self) -> None:
        """Change the configuration once the charge point is registered."""
        if self._settings and any(
            each.sent and each.action == "StatusNotification" for each in self.record.messages[-4:]
        ):
            for key, value in self._settings.items():
                payload = {"key": key, "value": str(value)}
                self._csms.call("ChangeConfiguration", payload, self.now_ms)
            self._settings.clear()

    def _step(self) -> None:
        due = [render_can_line(bus, frame) for bus, frame in self._bench.tick(self.now_ms)]
        if self._boot_at_ms is not None and self.now_ms >= self._boot_at_ms:
            self._boot(self._reset)
        told = self._csms.tick(self.now_ms)
        if self._boot_at_ms is not None:
            self._frames.clear()
            self._lines.clear()
            return
        frames, self._frames = self._frames + due, []
        lines, self._lines = self._lines, []
        self._give([*(frames if self._bus_runs else ()), *told, *lines, "tick"])

    def _boot(self, reset: str, *, first: bool = False) -> None:
        self._boot_at_ms = None
        lines = []
        if first:
            config = " ".join(f"{name}={value}" for name, value in self._config.items())
            lines = [f"config {config}", "nvs evcfg schema u8 01", "nvs evcfg sec_profile u8 00"]
            lines += [f"nvs evcfg {k} str {v.encode().hex()}" for k, v in IDENTITY.items()]
        self._happens(f"boot {reset}")
        lines.append(f"boot reset={reset} charge_point=CP-VERIFY energy_mwh={self._stored_mwh}")
        self._give([*lines, "bus 0 " + ("running" if self._bus_runs else "bus_off")])

    def _act(self, action: str, parameters: Mapping[str, Any]) -> None:
        match action:
            case "card":
                self._lines.append(f"card {parameters['id_tag']}")
            case "error":
                self._lines.append(f"error {parameters['code']}")
            case "key":
                self._lines += [f"key {byte:02X}" for byte in parameters["text"].encode()]
            case "frame":
                self._lines.append(render_can_line(*frame_of_event(parameters)))
            case "bus":
                self._bus_runs = parameters["state"] in ("running", "error_passive")
                self._lines.append(f"bus 0 {parameters['state']}")
            case "power_cut":
                self._power_lost(parameters.get("reset", "power_on"), self.now_ms)
            case "csms" | "drop" | "call" | "answer" | "id_tag":
                self._move_csms(action, parameters)
            case _:
                move_bench(self._bench, action, parameters)
                if parameters.get("mode") == "silent":
                    self._frames.clear()

    def _move_csms(self, action: str, parameters: Mapping[str, Any]) -> None:
        csms, now_ms = self._csms, self.now_ms
        match action:
            case "csms":
                csms.online = parameters["mode"] != "offline"
                csms.silent = parameters["mode"] == "silent"
                if not csms.online:
                    self._lines += csms.drop(now_ms)
            case "drop":
                self._lines += csms.drop(now_ms)
            case "call":
                csms.call(parameters["action"], parameters.get("payload", {}), now_ms)
            case "answer":
                oddity = Oddity(
                    parameters["with"],
                    parameters.get("code", "InternalError"),
                    parameters.get("payload"),
                    parameters.get("delay_ms", 0),
                )
                csms.odd(parameters["action"], oddity, parameters.get("next", 1))
            case "id_tag":
                info = {"status": parameters["status"]}
                if "parent" in parameters:
                    info["parentIdTag"] = parameters["parent"]
                csms.id_tags[parameters["id_tag"]] = info

    def _power_lost(self, reset: str, boot_at_ms: int) -> None:
        self._csms.power_lost()
        self._frames.clear()
        self._lines.clear()
        self._happens("off")
        self._boot_at_ms, self._reset = boot_at_ms, reset

    def _give(self, commands: list[str]) -> None:
        now_ms = self.now_ms
        for line in self._unit.give([f"@{now_ms} {command}" for command in commands]):
            verb, _, rest = line.partition(" ")
            match verb:
                case "can":
                    parsed = parse_can_words(rest)
                    if self._bus_runs and not isinstance(parsed, Malformed):
                        answers = self._bench.on_frame(*parsed, now_ms)
                        self._frames += [render_can_line(bus, frame) for bus, frame in answers]
                case "store":
                    self._stored_mwh = rest.rpartition(" ")[2]
                case "ws":
                    self._csms.on_line(rest, now_ms)
                case "recover":
                    self._lines.append("bus 0 running")
                    self._bus_runs = True
                case "off":
                    self._power_lost("software", now_ms + RESTART_MS)
                case "state":
                    self._see(rest)

    def _see(self, text: str) -> None:
        if text == self._seen:
            return
        self._seen = text
        state = dict(word.split("=", 1) for word in text.split(" "))
        seen = {name: state[name] for name in _FIELDS}
        if not self.record.states or self.record.states[-1][1] != seen:
            self.record.states.append((self.now_ms, seen))

    def _happens(self, what: str) -> None:
        self.record.happenings.append(Happening(self.now_ms, what))
