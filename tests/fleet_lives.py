# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs over five units that are killed at their n-th write, and the runs that continue them.

`python fleet_lives.py LEDGER FOLDER [ACTION] [--first N] [--every N]`: for every n-th write (a
statement, a COMMIT, what comes after it, a sector of flash) there are five new rows and five
new boards. A process makes the boards the rows' units and is killed with SIGKILL there; another
one continues, with the boards in another order; a third finds nothing to do. ACTION `rotate`
has all of it happen to a rotation of units that were provisioned before. Each life is a line of
JSON; a broken promise ends all with a traceback.

The flash is memory that the processes share, so that it outlives them as a board's does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import sqlalchemy as sa
from fleet_rig import FLASH_SIZE, FleetRig, MemoryBoard, make_rig, order_of
from ledger_lives import Steps

from evtool.link.ledger_database import open_ledger
from evtool.provision.ledger.unit_state import state
from evtool.provision.run.rotation import Rotation
from evtool.provision.run.task import UnitTask
from evtool.provision.run.verdict import UnitVerdict

UNITS = 5
STEPS = Steps()
KEY = "authorization_key"
_OTHERS = 0x8000  # boards of another action, in the same ledger
# All that a run writes to: boot loader to application, and the identity.
_USED = (range(0x20000), range(0x390000, 0x3A0000))


def listen() -> None:
    """Have everything that changes a database count as a step."""

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SET")):
            STEPS()

    sa.event.listen(sa.Engine, "after_cursor_execute", executed)
    for name in ("begin", "commit"):  # before a COMMIT, and after the one before
        sa.event.listen(sa.Engine, name, STEPS)


@dataclass(frozen=True)
class Life:
    """Five rows and five boards.

    Attributes:
        number: the write at which the first process is killed; rows and MACs are of this one.
    """

    place: str
    folder: Path
    action: str
    number: int
    flashes: tuple[mmap, ...]

    def blank(self) -> None:
        """New boards."""
        for flash in self.flashes:
            for used in _USED:
                flash[used.start : used.stop] = b"\xff" * len(used)

    def boards(self) -> list[MemoryBoard]:
        return [
            MemoryBoard(index, flash, STEPS, serial=self.number | _OTHERS * (self.action != "run"))
            for index, flash in enumerate(self.flashes, 1)
        ]

    def units(self) -> list[str]:
        return [f"{self.action}-{self.number}-{index}" for index in range(1, UNITS + 1)]

    def open(self) -> FleetRig:
        rig = make_rig(self.folder, open_ledger(self.place, "line-1"), 0)
        rig.orders = [
            order_of(rig.project, 1, unit=unit, serial=f"S-{unit}") for unit in self.units()
        ]
        return rig

    def task(self, rig: FleetRig) -> UnitTask:
        if self.action == "run":
            return rig.task()
        rotation = Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,), f"c{self.number}")
        return rig.task(
            only_known=True,
            before=rotation.before,
            newest=rotation.newest,
            event="rotated",
            verdict=UnitVerdict.ROTATED,
        )

    def provision_all(self) -> None:
        """What a rotation takes for granted."""
        rig = self.open()
        results = rig.run(*self.boards())
        rig.ledger.close()
        check(all(each.verdict is UnitVerdict.PROVISIONED for each in results), results)

    def be_killed(self) -> None:
        """Everything, until the write comes at which it ends."""
        STEPS.last, STEPS.count = self.number, 0
        rig = self.open()
        rig.run(*self.boards(), task=self.task(rig))
        rig.ledger.close()

    def continue_it(self) -> None:
        """Continue what was killed, with the boards in another order; then find nothing to do."""
        rig = self.open()
        results = rig.run(*reversed(self.boards()), task=self.task(rig))
        check(all(each.verdict.good for each in results), results)
        boards = self.boards()
        results = rig.run(*boards, task=self.task(rig))
        check(all(each.verdict is UnitVerdict.UNCHANGED for each in results), results)
        check(sum(board.written for board in boards) == 0, "a third run wrote")
        self.check_units(rig)
        rig.ledger.close()

    def check_units(self, rig: FleetRig) -> None:
        """Every unit has one board, every board one unit, and all of it is in the ledger."""
        boards = {board.mac: board for board in self.boards()}
        for unit in self.units():
            found = state(rig.ledger, unit)
            check(found is not None and found.status == "proved", (unit, found))
            mac = "" if found is None else str(found.mac)
            check(boards.pop(mac).identity == unit, (unit, mac))
            claims = {claim.kind: claim for claim in rig.ledger.claims_of(unit)}
            check({"identity", "mac", "serial", "key"} == claims.keys(), (unit, claims))
            check(claims["mac"].value == mac, claims)
            events = Counter(rig.events(unit))
            events.subtract({"unchanged": events["unchanged"]})
            once = {"claimed", "written", "proved", "read_back"}
            if self.action == "rotate":
                check(events["rotated"] == 1, events)
                check(rig.secrets.generation(unit, KEY, 2) is not None, unit)
                check(rig.secrets.generation(unit, KEY, 3) is None, unit)
            else:
                check(all(events[name] == 1 for name in once), events)
                check(rig.secrets.generation(unit, KEY, 2) is None, unit)
            written = None if found is None else found.written
            check(written is not None and rig.sealed.get(str(written.fields["sealed_image"])), unit)
        check(not boards, boards)

    def check_no_identity_twice(self) -> None:
        """At the moment of the kill already."""
        held = [board.identity for board in self.boards() if board.identity is not None]
        check(len(set(held)) == len(held), held)


def check(promise: object, what: object) -> None:
    if not promise:
        raise AssertionError(str(what))


def in_a_process(work: Callable[[], None]) -> bool:
    """Do it in a fork; whether that was killed."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return True
        check(os.waitstatus_to_exitcode(status) == 0, "the process failed")
        return False
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the fork must not go on with its parent's work
        traceback.print_exc()
        os._exit(1)


def live(life: Life) -> bool:
    """One life; whether it was killed, and did not end by itself."""
    life.blank()
    if life.action == "rotate":
        check(not in_a_process(life.provision_all), "killed without being told to")
    killed = in_a_process(life.be_killed)
    life.check_no_identity_twice()
    check(not in_a_process(life.continue_it), "killed without being told to")
    return killed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger")
    parser.add_argument("folder", type=Path)
    parser.add_argument("action", nargs="?", default="run", choices=["run", "rotate"])
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    listen()
    flashes = tuple(mmap(-1, FLASH_SIZE) for _ in range(UNITS))
    number, killed = given.first, True
    while killed:
        life = Life(given.ledger, given.folder, given.action, number, flashes)
        killed = live(life)
        sys.stdout.write(json.dumps({"write": number, "killed": killed}) + "\n")
        sys.stdout.flush()
        number += given.every


if __name__ == "__main__":
    main()
