# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program with MicroOcpp, a vehicle and a power module, in virtual time.

`EVTOOL_MICROOCPP_PROGRAM` names a program that `evtool build --env host --microocpp DIR` built,
better with `--env host_asan`; without it the tests that need it skip.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evtool.link.line_program import LineProgram
from evtool.protocol.can_frame import Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.virtual.bench import Bench
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

STEP_MS = 20
ANSWER_S = 60.0
IDENTITY = {
    "cp_id": "CP-1",
    "vendor": "V",
    "model": "M",
    "serial": "S",
    "csms_url": "ws://127.0.0.1:9/ocpp",
    "wifi_ssid": "site",
    "id_tag": "LOCAL",
}
SWITCH = "0 068181FE x d 8 013200"


def program_or_skip() -> Path:
    """The program with MicroOcpp; skips where none is named."""
    named = os.environ.get("EVTOOL_MICROOCPP_PROGRAM")
    if not named:
        pytest.skip("no program with MicroOcpp: set EVTOOL_MICROOCPP_PROGRAM (microocpp/unit.py)")
    return Path(named)


class ProgramFailed(AssertionError):
    """The program crashed, or a sanitizer reported something."""


class Unit:
    """One charge point that may lose its power and get it back, on one storage.

    Attributes:
        state: the controller's, as of the last tick; empty while it has no power.
        on_line: is given each line of `ws` that comes out, without that word, and the time.
        on_answer: is given each answer to `preset` and `heap`.
        key: the AuthorizationKey of the factory, hex digits; empty for security profile 0.
        outbox: lines for the program, given at the next step.
    """

    def __init__(self, program: Path, storage: Path, *, nonce: int = 1) -> None:
        self.now_ms = 0
        self.bench = Bench(Vehicle(), PowerModule(), bms_bus=0, now_ms=0)
        self.state: dict[str, str] = {}
        self.console: list[str] = []
        self.stored_mwh = 0
        self.bus_runs = True
        self.recovery_wanted = False
        self.off: str | None = None
        self.outbox: list[str] = []
        self.on_line: Callable[[str], None] = lambda line: None
        self.key = ""
        self.on_answer: Callable[[str], None] = lambda line: None
        self.on_state: Callable[[bool], None] = lambda ordered_on: None
        self._program = program
        self._storage = storage
        self._nonce = nonce
        self._frames: list[str] = []
        self._ordered_on = False  # the last word to the module since the last state
        self._process: LineProgram | None = None

    @property
    def powered(self) -> bool:
        """Whether the program runs a booted unit."""
        return self._process is not None and self.off is None

    def boot(self, reset: str = "power_on") -> None:
        """Give power; in the process that runs, or in a new one."""
        lines = []
        if self._process is None:
            environment = {
                **{name: os.environ[name] for name in ("PATH",) if name in os.environ},
                "EVTOOL_STORAGE": str(self._storage),
                "EVTOOL_NONCE": str(self._nonce),
                "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
                "UBSAN_OPTIONS": "print_stacktrace=1",
            }
            self._process = LineProgram([str(self._program), "--lockstep"], environment)
            lines += [
                "config id_tag=LOCAL",
                "nvs evcfg schema u8 01",
                f"nvs evcfg sec_profile u8 {'01' if self.key else '00'}",
            ]
            identity = IDENTITY | ({"auth_key": self.key} if self.key else {})
            for key, value in identity.items():
                lines.append(f"nvs evcfg {key} str {value.encode().hex()}")
        self._nonce += 1
        self.off = None
        self._frames.clear()
        self.outbox.clear()
        self.give(*lines, f"boot reset={reset} charge_point=CP-1 energy_mwh={self.stored_mwh}")
        if self.off is None:
            self.give("bus 0 " + ("running" if self.bus_runs else "bus_off"))

    def kill(self) -> None:
        """The power fails between two steps, and with it the process."""
        if self._process is not None:
            self._process.close()
        self._process = None
        self.state = {}
        self.off = "killed"

    def finish(self) -> None:
        """End the program as a program ends; a leak that a sanitizer finds is a failure."""
        if self._process is not None:
            process, self._process = self._process, None
            return_code, errors = process.finish(ANSWER_S)
            process.close()
            self._check(return_code == 0 and not errors.strip(), "", errors)

    def step(self, *commands: str) -> None:
        """Let 20 ms pass."""
        self.now_ms += STEP_MS
        due = [render_can_line(bus, frame) for bus, frame in self.bench.tick(self.now_ms)]
        if not self.powered:
            self.outbox.clear()
            return
        frames, self._frames = self._frames + due, []
        outbox, self.outbox = self.outbox, []
        self.give(*(frames if self.bus_runs else ()), *outbox, *commands, "tick")

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self.step()

    def until(self, holds: Callable[[], object], what: str, seconds: float = 120) -> None:
        """Let time pass until something is so."""
        end = self.now_ms + seconds * 1000
        while not holds():
            assert self.now_ms < end, f"it never came: {what}; {self.state}"
            self.step()

    def bus_off(self) -> None:
        """The controller's bus is lost: nothing comes and nothing goes."""
        self.bus_runs = False
        if self.powered:
            self.give("bus 0 bus_off")

    def bus_back(self) -> None:
        """It runs again."""
        self.bus_runs, self.recovery_wanted = True, False
        if self.powered:
            self.give("bus 0 running")

    def give(self, *commands: str) -> None:
        """Hand over command lines and take in what they bring about."""
        process = self._process
        assert process is not None
        process.send("".join(f"@{self.now_ms} {command}\n" for command in commands))
        text = process.receive(len(commands), ANSWER_S)
        lines = text.splitlines()
        if lines.count("ok") != len(commands):
            return_code, errors = process.finish(ANSWER_S)
            self._check(False, f"{commands} {lines[-3:]} exit {return_code}", errors)
        for line in lines:
            self._take(line)

    def _take(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        match verb:
            case "can":
                parsed = parse_can_words(rest)
                assert not isinstance(parsed, Malformed)
                if rest.startswith(SWITCH):
                    self._ordered_on = rest == f"{SWITCH}0000000000"
                # Off goes out on a lost bus too, and reaches nobody.
                if self.bus_runs:
                    answers = self.bench.on_frame(*parsed, self.now_ms)
                    self._frames += [render_can_line(bus, frame) for bus, frame in answers]
            case "store":
                self.stored_mwh = int(rest.partition(" ")[2])
            case "ws":
                self.on_line(rest)
            case "preset" | "heap":
                self.on_answer(line)
            case "console":
                self.console.append(rest)
            case "recover":
                self.recovery_wanted = True
            case "off":
                self.off, self.state, self._ordered_on = rest, {}, False
            case "state":
                self.state = dict(word.partition("=")[::2] for word in rest.split(" "))
                ordered_on, self._ordered_on = self._ordered_on, False
                self.on_state(ordered_on)

    def _check(self, holds: bool, what: str, errors: str) -> None:
        if not holds:
            self.off = "crashed"
            raise ProgramFailed(f"{what}\n{errors[-6000:]}")


def compact(message: Any) -> str:
    """JSON as it goes over the wire."""
    return json.dumps(message, separators=(",", ":"))
