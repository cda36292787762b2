# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds the controller in a scenario: a vehicle, a power module, OCPP's word.

It takes the controller's answers and returns command lines of docs/host-program.md. The
CSMS is reduced to what reaches the controller of it: a word, repeated once a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.verify.bench_moves import frame_of_event, make_bench, move_bench
from evtool.verify.compare import Answer

OCPP_PERIOD_MS = 1_000


class World:
    """The vehicle, the power module and OCPP, as one scenario moves them.

    Args:
        config: the controller's configuration, as far as it differs from the default; the
            models follow its pack and scales.
    """

    def __init__(self, config: Mapping[str, str]) -> None:
        self._config = {"id_tag": "LOCAL"} | dict(config)
        self._buses = int(config.get("buses", "1"))
        self._bench = make_bench(config, now_ms=0)
        self._bus_runs = [True] * self._buses
        self._to_lose: dict[int, int] = {}
        self._stored = ["0", "0"]  # what NVS holds, and held before the last write
        self._answers: list[tuple[int, CanFrame]] = []
        self._ocpp_mode = "online"
        self._transaction = False
        self._awaits_vehicle = False
        self._limit = "-"
        self._next_word_ms = 0

    def start(self) -> list[str]:
        """The lines that come before everything else."""
        config = " ".join(f"{name}={value}" for name, value in self._config.items())
        return [
            f"config {config}",
            self._boot("power_on", self._stored[0]),
            *(f"bus {bus} running" for bus in range(self._buses)),
        ]

    def _boot(self, reset: str, energy_mwh: str) -> str:
        return (
            f"boot reset={reset} version=verify build=verify charge_point=CP-VERIFY "
            f"energy_mwh={energy_mwh}"
        )

    def _power_cut(self, parameters: Mapping[str, Any]) -> list[str]:
        """The controller starts anew; vehicle and module never noticed."""
        if parameters.get("lost_write", False):
            self._stored[0] = self._stored[1]
        self._stored[1] = self._stored[0]
        self._answers.clear()
        return [
            self._boot(parameters.get("reset", "power_on"), self._stored[0]),
            *(f"bus {bus} running" for bus in range(self._buses) if self._bus_runs[bus]),
        ]

    def act(self, action: str, parameters: Mapping[str, Any], now_ms: int) -> list[str]:
        """Do what an event says; returns what the controller hears of it at once."""
        match action:
            case "frame":
                return [render_can_line(*frame_of_event(parameters))]
            case "key":
                return [f"key {byte:02X}" for byte in parameters["text"].encode()]
            case "bus":
                bus = parameters.get("bus", 0)
                if bus < self._buses:
                    self._bus_runs[bus] = parameters["state"] in ("running", "error_passive")
                return [f"bus {bus} {parameters['state']}"]
            case "power_cut":
                self._next_word_ms = now_ms
                return self._power_cut(parameters)
            case "word" | "report" | "remote_start" | "remote_stop" | "ocpp" | "limit":
                return self._ocpp_action(action, parameters, now_ms)
            case "lose":
                self._to_lose[parameters["can_id"]] = parameters["frames"]
            case _:
                move_bench(self._bench, action, parameters)
                if parameters.get("mode") == "silent":
                    self._answers.clear()  # what it was about to answer it does not say either
        return []

    def _ocpp_action(self, action: str, parameters: Mapping[str, Any], now_ms: int) -> list[str]:
        match action:
            case "word":
                self._next_word_ms = now_ms + OCPP_PERIOD_MS
                return [self._word_line(parameters["transaction"], parameters["permitted"])]
            case "report":
                return [f"report {parameters['of']}"]
            case "remote_start":
                self._awaits_vehicle = True
                return []
            case "remote_stop":
                self._transaction = self._awaits_vehicle = False
            case "ocpp":
                self._ocpp_mode = parameters["mode"]
            case "limit":
                limit = parameters["current_ma"]
                self._limit = "-" if limit < 0 else str(limit)
        self._next_word_ms = now_ms
        return self._word(now_ms)

    def observe(self, answer: Answer, now_ms: int) -> None:
        """Take in what the controller did: frames, OCPP requests, its state."""
        if not answer:
            return
        for line in answer[:-1]:
            name, _, rest = line.partition(" ")
            if name == "can":
                self._on_frame(rest, now_ms)
            elif line.startswith("ocpp start "):
                self._awaits_vehicle = True
            elif line.startswith("ocpp stop "):
                self._transaction = False
                self._next_word_ms = now_ms
            elif line.startswith("store energy_mwh "):
                self._stored = [line.rpartition(" ")[2], self._stored[0]]
        # The state stands last and begins with this field: no need to take it apart every time.
        unplugged = answer[-1].startswith("state plugged=0 ")
        if unplugged and self._transaction:  # the CSMS ends it: EVDisconnected
            self._transaction = False
            self._next_word_ms = now_ms
        elif not unplugged and self._awaits_vehicle and self._ocpp_mode == "online":
            self._awaits_vehicle = False
            self._transaction = True
            self._next_word_ms = now_ms

    def _on_frame(self, words: str, now_ms: int) -> None:
        parsed = parse_can_words(words)
        if isinstance(parsed, Malformed):
            return
        bus, frame = parsed
        left = self._to_lose.get(frame.can_id, 0)
        if left:
            self._to_lose[frame.can_id] = left - 1
        elif self._bus_runs[bus]:
            self._answers += self._bench.on_frame(bus, frame, now_ms)

    def commands(self, now_ms: int) -> list[str]:
        """The frames that have come due by `now_ms`, and OCPP's word."""
        due, self._answers = self._answers + self._bench.tick(now_ms), []
        lines = [render_can_line(bus, frame) for bus, frame in due if self._bus_runs[bus]]
        return lines + self._word(now_ms)

    def _word(self, now_ms: int) -> list[str]:
        if self._ocpp_mode == "silent" or now_ms < self._next_word_ms:
            return []
        self._next_word_ms = now_ms + OCPP_PERIOD_MS
        return [self._word_line(self._transaction, self._transaction)]

    def _word_line(self, transaction: bool, permitted: bool) -> str:
        connected = self._ocpp_mode != "offline"
        return (
            f"ocpp connected={connected:d} transaction={transaction:d} "
            f"permitted={permitted:d} limit_ma={self._limit}"
        )
