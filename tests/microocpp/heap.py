# SPDX-License-Identifier: GPL-3.0-or-later
"""Charge after charge, and what the firmware's heap holds after each: it must not grow.

`make heap PROGRAM=build/host/program CHARGES=1000` runs it for long. A program with a sanitizer
tells no heap.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from microocpp.plain_csms import PlainCsms
from microocpp.unit import Unit

from evtool.virtual.vehicle import Vehicle

CHARGE_S = 6
# By then the records of past transactions, the queues and the cache of tags have been full.
WARM_UP = 60


def heap_after_charges(program: Path, storage: Path, charges: int) -> list[int]:
    """Bytes in use between two charges, once for each after the warm-up.

    Each charge has cards, meter values, a lost connection and calls of the CSMS in it.

    Raises:
        AssertionError: the program tells no heap, or something else went wrong.
    """
    unit = Unit(program, storage)
    csms = PlainCsms(unit)
    try:
        unit.boot()
        unit.until(lambda: csms.statuses(1) == ["Available"], "registration")
        csms.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="2")
        csms.ask("ChangeConfiguration", key="StopTxnSampledData", value="Voltage,SoC")
        sizes = []
        for number in range(WARM_UP + charges):
            _charge(unit, csms, f"TAG-{number % 30}")
            if number >= WARM_UP:
                sizes.append(_heap(unit))
        return sizes
    finally:
        unit.kill()


def _charge(unit: Unit, csms: PlainCsms, tag: str) -> None:
    unit.bench.vehicle = Vehicle()  # another one, with room in its battery
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step(f"card {tag}")
    unit.until(lambda: unit.state["energised"] == "1", "energy")
    csms.ask("GetConfiguration", key=[])
    csms.ask("GetCompositeSchedule", connectorId=1, duration=60)
    csms.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=1)
    unit.run(CHARGE_S)
    csms.drop()
    unit.run(3)
    csms.online = True
    unit.step(f"card {tag}")
    unit.bench.command("plug_out")
    unit.until(lambda: unit.state["plugged"] == "0", "it to leave")
    unit.until(lambda: csms.sent("StopTransaction"), "its end")
    unit.run(2)
    csms.calls.clear()
    csms.ids.clear()
    csms.answers.clear()


def _heap(unit: Unit) -> int:
    said: list[str] = []
    unit.on_answer = said.append
    unit.step("heap")
    [line] = said
    value = line.partition(" ")[2]
    assert value.isdigit(), f"the program tells no heap: {line}"
    assert int(value) > 0, "a sanitizer keeps the heap"
    return int(value)


def main() -> None:
    """Print the heap's course."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--charges", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = heap_after_charges(arguments.program, Path(folder), arguments.charges)
    part = max(len(sizes) // 10, 1)
    for begin in range(0, len(sizes), part):
        some = sizes[begin : begin + part]
        last = begin + len(some)
        _say(f"charges {begin + 1:6}-{last:<6} {min(some):9,} to {max(some):9,} bytes")
    growth = max(sizes[-part:]) - max(sizes[:part])
    _say(f"growth {growth:,} bytes in {len(sizes)} charges")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
