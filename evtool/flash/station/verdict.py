# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from evtool.errors import EvtoolError, Stopped, WrongBoard
from evtool.protocol.board_flash import BoardFacts


class Verdict(Enum):
    """The last word on a board."""

    FLASHED = "flashed"  # written and proved
    UNCHANGED = "unchanged"  # it held everything already, which is proved too
    IDENTIFIED = "identified"  # only asked who it is
    REPEATED = "repeated"  # this unit was done before, at whatever port
    REFUSED = "refused"  # a gate kept it out; nothing was written
    FAILED = "failed"
    STOPPED = "stopped"  # the run ended before this board was done
    UNFINISHED = "unfinished"  # of a run that was killed: only a report's reader sees it

    @property
    def good(self) -> bool:
        """Whether the board needs nothing more."""
        return self in {Verdict.FLASHED, Verdict.UNCHANGED, Verdict.IDENTIFIED, Verdict.REPEATED}

    @classmethod
    def of_error(cls, error: EvtoolError) -> Verdict:
        """The verdict on a board whose work ended with `error`."""
        if isinstance(error, AlreadyDone):
            return cls.REPEATED
        if isinstance(error, WrongBoard):
            return cls.REFUSED
        return cls.STOPPED if isinstance(error, Stopped) else cls.FAILED


class AlreadyDone(EvtoolError):
    """This unit was done in this run already; nothing is wrong."""

    exit_code = 0


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A try that did not succeed: which one, at what speed, and why."""

    number: int
    baudrate: int
    reason: str


@dataclass(frozen=True, slots=True)
class BoardResult:
    """One board's result.

    Attributes:
        facts: None where it never answered.
        error: what stopped the last attempt; None where all is well.
        failed: the attempts that did not succeed.
        bytes_written: over all attempts; what was held already is not among them.
        writes: pieces that were written.
        questions: pieces that the board was asked about.
        times_ms: by phase, over all attempts.
        boot: the words of its boot line, where that was waited for.
    """

    port: str
    verdict: Verdict
    facts: BoardFacts | None = None
    error: EvtoolError | None = None
    failed: tuple[FailedAttempt, ...] = ()
    bytes_written: int = 0
    writes: int = 0
    questions: int = 0
    times_ms: Mapping[str, int] = field(default_factory=dict)
    boot: Mapping[str, str] | None = None

    @property
    def mac(self) -> str:
        """Where it is known, else ""."""
        return "" if self.facts is None else self.facts.chip.mac

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return len(self.failed) + self.verdict.good

    @property
    def exit_code(self) -> int:
        """What this board means for the run's exit code."""
        if self.error is None:
            return 0 if self.verdict.good else EvtoolError.exit_code
        return self.error.exit_code

    @property
    def seconds(self) -> float:
        """All phases together."""
        return sum(self.times_ms.values()) / 1000


def worst_exit_code(results: Iterable[BoardResult]) -> int:
    """The run's exit code: the highest of its boards' (stopped over tool over board over proof)."""
    return max((result.exit_code for result in results), default=0)
