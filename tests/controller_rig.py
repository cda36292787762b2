# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller on a bench: tests say what happens and read what comes out.

It speaks the lockstep lines of docs/host-program.md, so the same test runs on the Python
controller and on the C++ core.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

OFF = "0132000100000000"
ON = "0132000000000000"
COMMAND, QUESTION, FEEDBACK = "068181FE", "068182FE", "18FF50E5"
CAPACITY_QUERY, DISCHARGE_QUERY = "160B0180", "160D0180"
TICK_MS = 20


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that the controller sent."""

    at_ms: int
    bus: int
    can_id: str
    data: str


class Rig:
    """Drives one controller; `answer` takes a command line and gives the answer's lines."""

    def __init__(self, answer: Callable[[str], list[str]]) -> None:
        self._answer = answer
        self.now_ms = 0
        self.sent: list[Sent] = []
        self.console: list[str] = []
        self.others: list[str] = []  # ocpp, store, recover
        self.state: dict[str, str] = {}

    def do(self, command: str, after_ms: int = 0) -> list[Sent]:
        """One command, `after_ms` later; gives the frames that it caused."""
        self.now_ms += after_ms
        answer = self._answer(f"@{self.now_ms} {command}")
        assert answer[-1:] == ["ok"], answer
        before = len(self.sent)
        for line in answer[:-1]:
            kind, _, rest = line.partition(" ")
            if kind == "can":
                bus, can_id, flags, remote, dlc, data = rest.split(" ")
                assert (flags, remote, dlc) == ("x", "d", "8")
                self.sent.append(Sent(self.now_ms, int(bus), can_id, data))
            elif kind == "console":
                self.console.append(rest)
            elif kind == "state":
                self.state = dict(word.split("=", 1) for word in rest.split(" "))
            else:
                self.others.append(line)
        return self.sent[before:]

    def boot(self, config: str = "", energy_mwh: int = 0) -> None:
        """Configure and start, with every bus running."""
        self.do(f"config id_tag=LOCAL {config}".rstrip())
        self.do(f"boot reset=power_on energy_mwh={energy_mwh}")
        self.do("bus 0 running")
        self.do("bus 1 running")

    def frame(self, can_id: int, data: str, bus: int = 0, after_ms: int = 0) -> list[Sent]:
        """An extended data frame comes."""
        return self.do(f"can {bus} {can_id:08X} x d {len(data) // 2} {data or '-'}", after_ms)

    def request(
        self, volts: float = 72, amperes: float = 30, control: int = 0, mode: int = 0, bus: int = 0
    ) -> list[Sent]:
        """The vehicle asks."""
        fields = round(volts * 10), round(amperes * 10), control, mode, 0
        return self.frame(0x1806E5F4, struct.pack(">HHBBH", *fields).hex(), bus)

    def temperature(self, value: int = 25000) -> list[Sent]:
        """The module's temperature, as it stands in the frame."""
        return self.frame(0x0681827E, f"01800000{value:08x}")

    def telemetry(self, function: int, value: int) -> list[Sent]:
        """A telemetry_reply."""
        return self.frame(0x0681827E, f"01{function:02x}0000{value:08x}")

    def reply(self, function: int, state: int = 0, value: int = 0) -> list[Sent]:
        """A control_reply."""
        return self.frame(0x0681817E, f"01{function:02x}00{state:02x}{value:08x}")

    def terminal(self, volts: float = 72, amperes: float = 30) -> list[Sent]:
        """terminal_power."""
        return self.frame(0x00433F01, struct.pack(">ff", volts, amperes).hex())

    def word(
        self, transaction: int = 1, permitted: int = 1, limit: int | str = "-", connected: int = 1
    ) -> list[Sent]:
        """OCPP's word."""
        return self.do(
            f"ocpp connected={connected} transaction={transaction} permitted={permitted}"
            f" limit_ma={limit}"
        )

    def run(self, for_ms: int, *keep: Callable[[], object]) -> None:
        """Ticks for a time; every 100 ms each of `keep` happens as well."""
        end_ms = self.now_ms + for_ms
        next_ms = self.now_ms
        while self.now_ms < end_ms:
            if self.now_ms >= next_ms:
                next_ms += 100
                for happens in keep:
                    happens()
            self.do("tick", min(TICK_MS, end_ms - self.now_ms))

    def all_well(self) -> None:
        """Everything that the gate wants."""
        self.request()
        self.temperature()
        self.word()

    def energise(self, config: str = "") -> None:
        """Boot and open the gate."""
        self.boot(config)
        self.all_well()
        assert self.state["gate"] == "open"
        assert self.state["energised"] == "1"

    def since(self, at_ms: int, can_id: str) -> list[Sent]:
        """Frames with this identifier that were sent later than `at_ms`."""
        return [sent for sent in self.sent if sent.at_ms > at_ms and sent.can_id == can_id]

    def events(self, kind: str) -> list[str]:
        """What the events of a kind said."""
        start = f"[event] {kind} "
        return [line.removeprefix(start) for line in self.console if line.startswith(start)]
