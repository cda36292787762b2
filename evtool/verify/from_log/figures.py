# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit measured and counted: against the reference's own figures, and its own rules.

power      the product of voltage and current, as far as they are shown
energy     what the reference counts from the same samples, which are fewer: so much
           may differ as power changed from one to the next
unknown    a value is `-` when its frame is older than 3 s, and only then
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evtool.verify.compare import state_of
from evtool.verify.from_log.senses import Senses
from evtool.verify.from_log.stretches import Entry, Stretch
from evtool.verify.step import Step
from evtool.verify.verdict import FailedExpectation

_FRESH_MS = 3000
_AGE_MARGIN_MS = 150
_ENERGY_MWH = 3000  # shown in whole Wh, at both ends, and a sample more or less
_ENERGY_SHARE = 50  # one part in so many, of what was counted
_MS_PER_HOUR = 3_600_000

# What is unknown exactly when the record's own age says so.
_BY_AGE = {"bms": ("voltage_mv", "current_ma"), "terminal": ("voltage_mv", "current_ma")}
_ROUNDED = {"voltage_mv": 5, "current_ma": 5, "power_mw": 50}


@dataclass(slots=True)
class _Counted:
    """The register's course so far."""

    begin: Entry | None = None
    reference_mwh: int = 0
    slack_mwms: int = 0
    last_power_mw: int = 0


class Figures:
    """Looks at the reference's steps as they pass, and at the log's records beside them.

    Attributes:
        failed: what does not agree, each kind once.
    """

    def __init__(self, stretch: Stretch, senses: Senses) -> None:
        self.failed: list[FailedExpectation] = []
        self._senses = senses
        self._records: deque[Entry] = deque(
            each for each in stretch.entries if each.record.name in _BY_AGE
        )
        self._counted = _Counted()
        self._told: set[str] = set()

    def watch(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The same steps; every record is judged when its time has come."""
        for step in steps:
            yield step
            while self._records and self._time(self._records[0]) <= step.now_ms:
                self._judge(self._records.popleft(), step)

    def _time(self, entry: Entry) -> int:
        return entry.at_ms - self._senses.origin_ms

    def _judge(self, entry: Entry, step: Step) -> None:
        self._judge_unknown(entry)
        if entry.record.name == "terminal":
            self._judge_power(entry)
            self._judge_energy(entry, step)

    def _fail(self, entry: Entry, field: str, expected: str, actual: str) -> None:
        if field not in self._told:  # what goes wrong once goes wrong in every print
            self._told.add(field)
            at_ms = self._time(entry)
            self.failed.append(
                FailedExpectation(at_ms, at_ms, entry.number, field, expected, actual)
            )

    def _judge_unknown(self, entry: Entry) -> None:
        name = entry.record.name
        age_ms = entry.figure("age_ms")
        if age_ms is not None and abs(age_ms - _FRESH_MS) <= _AGE_MARGIN_MS:
            return
        is_fresh = age_ms is not None and age_ms <= _FRESH_MS
        for field in _BY_AGE[name]:
            if field in entry.record.fields and (entry.figure(field) is not None) != is_fresh:
                shown = "a value" if not is_fresh else "-"
                age = "unknown" if age_ms is None else f"{age_ms} ms"
                right = "- (nothing fresh is there)" if not is_fresh else "a value"
                self._fail(entry, f"{name}.{field} with an age of {age}", shown, right)

    def _judge_power(self, entry: Entry) -> None:
        millivolts, milliamperes = entry.figure("voltage_mv"), entry.figure("current_ma")
        power_mw = entry.figure("power_mw")
        if millivolts is None or milliamperes is None or power_mw is None:
            return
        product_mw = millivolts * milliamperes // 1000
        slack_mw = (
            abs(millivolts) * _ROUNDED["current_ma"] // 1000
            + abs(milliamperes) * _ROUNDED["voltage_mv"] // 1000
            + _ROUNDED["power_mw"]
            + 1
        )
        if abs(power_mw - product_mw) > slack_mw:
            self._fail(
                entry,
                "terminal.power_mw",
                f"{power_mw}",
                f"{product_mw} by voltage and current, within {slack_mw}",
            )

    def _judge_energy(self, entry: Entry, step: Step) -> None:
        register_mwh = entry.figure("energy_mwh")
        reference = state_of(step.answer).get("energy_mwh", "")
        if register_mwh is None or not reference.isdigit():
            return
        counted = self._counted
        power_mw = abs(entry.figure("power_mw") or 0)
        if counted.begin is None:
            counted.begin, counted.reference_mwh = entry, int(reference)
            counted.last_power_mw = power_mw
            return
        # Between two samples power was anything between the two, for one view's period.
        counted.slack_mwms += abs(power_mw - counted.last_power_mw) * 1100
        counted.last_power_mw = power_mw
        begin_mwh = counted.begin.figure("energy_mwh") or 0
        grown, wanted = register_mwh - begin_mwh, int(reference) - counted.reference_mwh
        slack = _ENERGY_MWH + counted.slack_mwms // _MS_PER_HOUR + wanted // _ENERGY_SHARE
        if abs(grown - wanted) > slack:
            self._fail(
                entry,
                "terminal.energy_mwh, growth",
                f"{grown}",
                f"{wanted} within {slack}",
            )
