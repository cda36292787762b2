# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger with a million records, and ten stations that claim from one server.

`python -m benchmarks.ledger [--records N] [--claims N] [--only WHAT]`. The records are those
of units with ten each, in one chain, which `merge` would take in as they are.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_rig import PostgresqlServer
from ledger_stations import check_claims, run_stations

from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import NO_HEAD, Head, Record, next_record
from evtool.provision.ledger.unit_state import state, unit_states
from evtool.provision.ledger.verify import verify

EVENTS = (
    "claimed", "planned", "written", "read_back", "proved",
    "label", "unchanged", "exported", "rotated", "proved",
)  # fmt: skip
FIELDS = {
    "charge_point": "CP-000000", "serial_number": "SN-000000001", "chip": "ESP32-D0WD-V3",
    "partition_offset": 0x390000, "image_sha256": "0" * 64, "security_profile": 2,
    "csms_url": "wss://csms.example.org/ocpp", "ca_sha256": "0" * 64,
    "ca_not_after": "2035-01-01T00:00:00+00:00", "evtool": "1.0",
}  # fmt: skip


def records(count: int) -> Iterator[Record]:
    """A chain in which the units' records stand among one another."""
    head = NO_HEAD
    units = max(1, count // len(EVENTS))
    for number in range(count):
        unit = number % units
        event = EVENTS[number // units % len(EVENTS)]
        fields: dict[str, object] = FIELDS if event == "written" else {"image_sha256": "0" * 64}
        if event == "claimed":
            fields = {"claims": [["identity", f"CP-{unit:06}"], ["mac", _mac(unit)]]}
        record = next_record(
            "line-9", head, "2030-01-01T00:00:00.000Z", event,
            unit=f"CP-{unit:06}", mac=_mac(unit), fields=fields,
        )  # fmt: skip
        yield record
        head = Head(record.seq, record.hash)


def _mac(unit: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (0x24_0A_C4_00_00_00 + unit).to_bytes(6))


def fill(ledger: SqlLedger, count: int) -> None:
    """Take the chain in, and its claims."""
    units = max(1, count // len(EVENTS))
    with ledger.merging() as change:
        change.take_chain("line-9", records(count), change.head_of("line-9"))
    for first in range(0, units, 5000):
        with ledger.change() as change:
            for unit in range(first, min(first + 5000, units)):
                change.claim(
                    f"CP-{unit:06}",
                    [("identity", f"CP-{unit:06}"), ("mac", _mac(unit))],
                    mac=_mac(unit),
                )


def timed(action: Callable[[], object], rounds: int = 1) -> list[float]:
    """Milliseconds of each round."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        found.append((time.perf_counter() - began) * 1000)
    return found


def measure(place: str, count: int) -> None:
    """Fill a ledger and ask it what a factory asks."""
    ledger = open_ledger(place, "line-1")
    [filled] = timed(lambda: fill(ledger, count))
    name = "PostgreSQL" if "://" in place else "SQLite"
    print(f"{name}: {count:,} records in {filled / 1000:.0f} s")  # noqa: T201
    ledger.close()

    def open_and_close() -> None:
        open_ledger(place, "line-1").close()

    report("open", timed(open_and_close, 15))
    ledger = open_ledger(place, "line-1")
    units = max(1, count // len(EVENTS))
    asked = iter(range(0, 10**9, 7919))
    report("history of a unit", timed(lambda: _history(ledger, next(asked) % units), 200))
    report("history of a board", timed(lambda: ledger.history(mac=_mac(next(asked) % units)), 200))
    report("state of a unit", timed(lambda: state(ledger, f"CP-{next(asked) % units:06}"), 200))

    def provision() -> None:
        unit = f"X-{next(asked)}"
        with ledger.change() as change:
            change.claim(unit, [("identity", unit), ("mac", unit)], mac=unit)
            change.append("written", unit=unit, mac=unit, fields=FIELDS)

    report("a change with claims", timed(provision, 100))
    report("states of all units", timed(lambda: sum(1 for _ in unit_states(ledger))))
    report("verify", timed(lambda: _verified(ledger)))
    ledger.close()


def _history(ledger: SqlLedger, unit: int) -> None:
    assert len(ledger.history(unit=f"CP-{unit:06}")) >= len(EVENTS)


def _verified(ledger: SqlLedger) -> None:
    # That each unit's claim is claimed again is what `fill` does; nothing else may differ.
    assert not verify(ledger).breaks


def report(name: str, found: list[float]) -> None:
    """One line: the median and the worst."""
    worst = f", worst {max(found):.1f} ms" if len(found) > 1 else ""
    print(f"  {name}: {statistics.median(found):.1f} ms{worst}")  # noqa: T201


def stations(server: PostgresqlServer, claims: int) -> None:
    """Ten stations against one server, killed at random."""
    place = server.new_database()
    outcome = run_stations(place, stations=10, units=claims, kill_every=max(1, claims // 200))
    ledger = open_ledger(place, "office")
    check_claims(ledger, outcome.told, claims)
    ledger.close()
    print(  # noqa: T201
        f"ten stations: {claims:,} claims, {outcome.kills} processes killed, "
        f"{outcome.seconds:.0f} s; none lost, none won twice"
    )


def main() -> None:
    """Measure, on both databases where the server can start."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=10_000)
    parser.add_argument("--only", choices=("sqlite", "postgresql", "stations"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evpg", ignore_cleanup_errors=True) as folder:
        if options.only in (None, "sqlite"):
            measure(str(Path(folder) / "ledger.db"), options.records)
        if options.only == "sqlite":
            return
        try:
            (Path(folder) / "server").mkdir()
            server = PostgresqlServer(Path(folder) / "server")
        except pytest.skip.Exception as skipped:
            print(f"no PostgreSQL: {skipped}")  # noqa: T201
            return
        if options.only != "stations":
            measure(server.new_database(), options.records)
        if options.only != "postgresql":
            stations(server, options.claims)
        server.stop()


if __name__ == "__main__":
    main()
