# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that write into a ledger and are killed at their n-th step, for every n.

`python ledger_lives.py LOCATION` forks one process after the other: the first is killed with
SIGKILL at its first step, the second at its second, until one ends by itself. A step is the
moment before or after a statement, a COMMIT, or an acknowledgement. Each first ends what the
one before it began. What was acknowledged is printed as JSON lines. With a number behind the
location there is one process of that number, which nothing in here kills.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.provision.ledger.unit_state import state


@dataclass(eq=False)
class Steps:
    """Counts steps, and ends the process at one of them."""

    last: int | None = None
    count: int = 0

    def __call__(self, *_: object, **__: object) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


STEPS = Steps()


def listen() -> None:
    """Have every statement and transaction count as steps."""
    for name in ("before_cursor_execute", "after_cursor_execute"):
        sa.event.listen(sa.Engine, name, STEPS)
    for name in ("begin", "commit", "savepoint", "release_savepoint"):
        sa.event.listen(sa.Engine, name, STEPS)


def provision(ledger: SqlLedger, unit: str, mac: str, acknowledge: Callable[[str], None]) -> None:
    """What a run records of one unit; goes on where an earlier one was ended."""
    found = state(ledger, unit)
    status = "new" if found is None else found.status
    if status == "new":
        with ledger.change() as change:
            change.add_range("serials", 1, 10_000)
            serial = change.next_serial("serials", unit)
            change.claim(
                unit, [("identity", unit), ("mac", mac), ("serial", f"S{serial}")], mac=mac
            )
            change.put_sealed(f"secret/{unit}/key/1", "k", unit.encode())
        STEPS()
        acknowledge("claimed")
    if status in ("new", "claimed"):
        with ledger.change() as change:
            change.append("written", unit=unit, mac=mac, fields={"image_sha256": "0" * 64})
        STEPS()
        acknowledge("written")
    if status != "proved":
        with ledger.change() as change:
            change.append("proved", unit=unit, mac=mac)
        STEPS()
        acknowledge("proved")


def acknowledge(number: int, event: str) -> None:
    """Say to whoever started us that it is done."""
    line = json.dumps({"number": number, "event": event}) + "\n"
    os.write(sys.stdout.fileno(), line.encode())


def work(location: str, number: int, tell: Callable[[str], None], last: int | None) -> None:
    """End what the process before this one began; then one's own, in which steps count."""
    STEPS.last = None
    ledger = open_ledger(location, "line-1")
    if number > 1:
        provision(ledger, f"CP-{number - 1}", f"m{number - 1}", lambda _: None)
    ledger.close()
    STEPS.last, STEPS.count = last, 0
    ledger = open_ledger(location, "line-1")
    provision(ledger, f"CP-{number}", f"m{number}", tell)
    ledger.close()


def live(location: str, number: int) -> bool:
    """One process: ends what the one before it began, then is killed at its own step `number`.

    Returns:
        Whether it was not killed: it has no so many steps.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return False
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"the process for step {number} failed")
        return True

    def tell(event: str) -> None:
        acknowledge(number, event)
        STEPS()

    try:
        work(location, number, tell, number)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the fork must not go on with its parent's work
        traceback.print_exc()
        os._exit(1)


def main(location: str) -> None:
    """Lives until one is not ended any more."""
    listen()
    number = 1
    while not live(location, number):
        acknowledge(number, "killed")
        number += 1
    acknowledge(number, "lived")


def only_one(location: str, number: int) -> None:
    """One process that is not killed from within: for whoever watches it from outside."""
    work(location, number, lambda event: acknowledge(number, event), None)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        only_one(sys.argv[1], int(sys.argv[2]))
    else:
        main(sys.argv[1])
