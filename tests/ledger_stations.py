# SPDX-License-Identifier: GPL-3.0-or-later
"""Stations that claim identities against one another in one ledger, and are killed at random.

A station claims every unit of its part for a board of its own, tells each on stdout, and goes on
where it was killed. Parts overlap: nearly each unit is wanted by two stations.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import subprocess
import sys
import termios
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from typing import NoReturn

from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import ClaimTaken
from evtool.provision.ledger.verify import verify

RANGE = "serials"


def claim_all(location: str, station: str, first: int, last: int) -> None:
    """One station's work; ends when each unit of its part belongs to somebody."""
    ledger = open_ledger(location, station)
    taken = {each.value: each.mac for each in ledger.claims() if each.kind == "identity"}
    own = [n for n in range(first, last) if taken.get(unit_of(n)) == f"{station}-{n}"]
    for number in range(first, last):
        unit, mac = unit_of(number), f"{station}-{number}"
        # The last one may not have been told; the others were.
        if unit in taken and number not in own[-1:]:
            continue
        try:
            with ledger.change() as change:
                change.claim(unit, [("identity", unit), ("mac", mac)], mac=mac)
                serial = change.next_serial(RANGE, unit)
                change.claim(unit, [("serial", f"S{serial}")], mac=mac)
        except ClaimTaken:
            continue
        _tell(f"{unit} {mac}\n")
    ledger.close()


def _tell(line: str) -> None:
    """Say so, and wait until that is heard: no station runs away from whoever kills it."""
    os.write(1, line.encode())
    unread = bytearray(4)
    while fcntl.ioctl(1, termios.FIONREAD, unread) == 0 and any(unread):
        time.sleep(0.0005)


def unit_of(number: int) -> str:
    """The unit of this number, from 0."""
    return f"CP-{number:06}"


@dataclass
class Outcome:
    """What the stations told, and how often they were killed."""

    told: list[tuple[str, str]]
    kills: int
    seconds: float


def fork_stations() -> None:
    """Start, kill and outlive stations, each a fork of this process, as stdin says.

    A start is `start STATION LOCATION FIRST LAST`, a kill `kill STATION`; what a station tells
    goes to the one stdout in whole lines, and `end STATION CODE` is this process's own word. A
    process of Python begins in a second, and its fork in no time: the claims are what is
    measured. Where stdin ends, all do.
    """
    children: dict[int, str] = {}
    while True:
        ready, _, _ = select.select([0], [], [], 0.01)
        said = os.read(0, 65536).decode() if ready else ""
        if ready and not said:  # nobody is there any more
            for child in children:
                os.kill(child, signal.SIGKILL)
            return
        for line in said.splitlines():
            word, station, *rest = line.split(" ")
            if word == "start":
                child = os.fork()
                if not child:
                    _be_station(station, *rest)
                children[child] = station
            elif word == "kill":
                for child, name in children.items():
                    if name == station:
                        os.kill(child, signal.SIGKILL)
        for child in list(children):
            if (ended := os.waitpid(child, os.WNOHANG))[0]:
                code = os.waitstatus_to_exitcode(ended[1])
                os.write(1, f"end {children.pop(child)} {code}\n".encode())


def _be_station(station: str, location: str, first: str, last: str) -> NoReturn:
    code = 1
    try:
        claim_all(location, station, int(first), int(last))
        code = 0
    except BaseException:  # noqa: BLE001 - the fork must not go on with its parent's work
        traceback.print_exc()
    os._exit(code)


class _Stations:
    """The stations' processes, each started again whenever it is killed."""

    def __init__(self, location: str, parts: list[tuple[int, int]]) -> None:
        self._location = location
        self._parts = {f"line-{number}": part for number, part in enumerate(parts)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.running = set(self._parts)
        self.told: list[tuple[str, str]] = []
        self.kills = 0
        for station in self._parts:
            self._start(station)

    def _start(self, station: str) -> None:
        self._say(f"start {station} {self._location} {' '.join(map(str, self._parts[station]))}")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def follow(self, kill_every: int) -> None:
        """Until all have ended; after every `kill_every` claims kill one of them."""
        chance = random.Random(kill_every)  # noqa: S311 - which one is killed
        assert self._process.stdout is not None
        done: set[str] = set()
        asked = 0
        for line in self._process.stdout:
            word, *rest = line.decode().split()
            if word != "end":
                self.told.append((word, rest[0]))
                done.add(word)
            elif int(rest[1]) == -signal.SIGKILL:
                self.kills += 1
                self._start(rest[0])
            elif int(rest[1]):
                raise RuntimeError(f"a station failed: {line!r}")
            else:
                self.running.discard(rest[0])
                if not self.running:
                    return
            # By what was done, not by the clock.
            if len(done) >= (asked + 1) * kill_every:
                asked += 1
                self._say(f"kill {chance.choice(sorted(self.running))}")

    def end(self) -> None:
        self._process.communicate()  # whose stdin ends by it


def run_stations(location: str, stations: int, units: int, kill_every: int) -> Outcome:
    """Let them claim `units` units; after every `kill_every` claims kill one of them."""
    ledger = open_ledger(location, "office")
    with ledger.change() as change:
        change.add_range(RANGE, 1, units)
    ledger.close()
    began = time.monotonic()
    size = units // stations
    # One part of its own and the next one's; the last one's is its own alone.
    firsts = range(0, stations * size, size)
    parts = [(first, min(first + 2 * size, units)) for first in firsts[:-1]]
    running = _Stations(location, [*parts, (firsts[-1], units)])
    try:
        running.follow(kill_every)
    finally:
        running.end()
    return Outcome(running.told, running.kills, time.monotonic() - began)


def check_claims(ledger: SqlLedger, told: list[tuple[str, str]], units: int) -> None:
    """Every unit belongs to one board, to the one that was told, with a number of its own."""
    assert verify(ledger).breaks == ()
    holders = {}
    serials: Counter[str] = Counter()
    for claim in ledger.claims():
        if claim.kind == "identity":
            holders[claim.unit] = claim.mac
        elif claim.kind == "serial":
            serials[claim.value] += 1
    assert set(holders) == {unit_of(number) for number in range(units)}
    assert serials == Counter(f"S{number}" for number in range(1, units + 1))
    lost = [(unit, mac) for unit, mac in told if holders[unit] != mac]
    assert not lost, f"acknowledged and lost: {lost[:5]}"
    won = Counter(
        claim[1]
        for station in ledger.heads()
        for record in ledger.chain(station)
        if record.event == "claimed"
        for claim in record.fields["claims"]  # type: ignore[attr-defined]  # a list
        if claim[0] == "identity"
    )
    assert set(won.values()) == {1}, "an identity was claimed twice"


if __name__ == "__main__":
    fork_stations()
