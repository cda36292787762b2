# SPDX-License-Identifier: GPL-3.0-or-later
"""Stations that claim identities against one another in one ledger, and are killed at random.

`python ledger_stations.py LOCATION STATION FIRST LAST` is one station: it claims every unit of
its part for a board of its own, tells each on stdout, and goes on where it was killed. Parts
overlap: each unit is wanted by two stations.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from threading import Thread

from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import ClaimTaken
from evtool.provision.ledger.verify import verify

RANGE = "serials"


def claim_all(location: str, station: str, first: int, last: int) -> None:
    """One station's work; ends when each unit of its part belongs to somebody."""
    ledger = open_ledger(location, station)
    for number in range(first, last):
        unit, mac = unit_of(number), f"{station}-{number}"
        try:
            with ledger.change() as change:
                change.claim(unit, [("identity", unit), ("mac", mac)], mac=mac)
                serial = change.next_serial(RANGE, unit)
                change.claim(unit, [("serial", f"S{serial}")], mac=mac)
        except ClaimTaken:
            continue
        sys.stdout.write(f"{unit} {mac}\n")
        sys.stdout.flush()
    ledger.close()


def unit_of(number: int) -> str:
    """The unit of this number, from 0."""
    return f"CP-{number:06}"


@dataclass
class Outcome:
    """What the stations told, and how often they were killed."""

    told: list[tuple[str, str]]
    kills: int
    seconds: float


class _Station:
    """A station's process, started again whenever it is killed."""

    def __init__(self, location: str, name: str, part: tuple[int, int]) -> None:
        self._arguments = [sys.executable, __file__, location, name, *map(str, part)]
        self.told: list[tuple[str, str]] = []
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.PIPE, text=True)
        self._reader = Thread(target=self._read, args=(self._process,))
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):  # else it was killed in the middle of the word
                unit, mac = line.split()
                self.told.append((unit, mac))

    def kill(self) -> bool:
        """SIGKILL, and start anew; False: it had ended."""
        if self._process.poll() is not None:
            return False
        self._process.kill()
        self.wait()
        self._start()
        return True

    def wait(self) -> int:
        """Wait for its end."""
        self._reader.join()
        code = self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


def run_stations(location: str, stations: int, units: int, kill_every: int) -> Outcome:
    """Let them claim `units` units; after every `kill_every` claims kill one of them."""
    ledger = open_ledger(location, "office")
    with ledger.change() as change:
        change.add_range(RANGE, 1, units)
    ledger.close()
    began = time.monotonic()
    size = units // stations
    running = []
    for number in range(stations):
        # One part of its own and the next one's; the last one's next is the first.
        first = number * size
        last = min(first + 2 * size, units) if number < stations - 1 else units
        running.append(_Station(location, f"line-{number}", (first, last)))
    chance = random.Random(units)  # noqa: S311 - which one is killed
    kills = 0
    while alive := [each for each in running if each.is_running]:
        time.sleep(0.01)
        # By what was done, not by the clock: on a busy machine a start takes seconds.
        if len({unit for each in running for unit, _ in each.told}) >= (kills + 1) * kill_every:
            kills += chance.choice(alive).kill()
    codes = [each.wait() for each in running]
    if any(codes):
        raise RuntimeError(f"a station failed: {codes}")
    told = [each for station in running for each in station.told]
    return Outcome(told, kills, time.monotonic() - began)


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
    claim_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
