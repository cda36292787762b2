# SPDX-License-Identifier: GPL-3.0-or-later
"""One input, and the reference's answer to it."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.verify.compare import Answer


@dataclass(frozen=True, slots=True)
class Step:
    """One input line with the reference's answer to it (without its `ok`)."""

    now_ms: int
    line: str
    answer: Answer

    @property
    def tells(self) -> bool:
        """Whether it says anything to a reader; a tick in which nothing happened does not."""
        return len(self.answer) > 1 or not self.line.endswith(" tick")
