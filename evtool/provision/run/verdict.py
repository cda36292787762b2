# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one board, and of the unit that it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from evtool.errors import DeviceError, EvtoolError
from evtool.protocol.board_flash import BoardFacts


class UnitRefused(DeviceError):
    """This board may not become the unit that is asked for; nothing was written to it."""


class BoardRepeated(EvtoolError):
    """This board was done in this run already; nothing is wrong."""

    exit_code = 0


class UnitVerdict(Enum):
    """The last word on a board."""

    PROVISIONED = "provisioned"  # written, read back and proved; or the proof that was missing
    ROTATED = "rotated"  # the same, with new secrets or certificates
    ROLLED_BACK = "rolled_back"  # it holds again what it held before
    DECOMMISSIONED = "decommissioned"  # its identity is erased
    UNCHANGED = "unchanged"  # all was right already, which is proved too
    REPEATED = "repeated"  # this board was done before, at whatever port
    REFUSED = "refused"  # kept out; nothing was written
    FAILED = "failed"
    STOPPED = "stopped"  # the run ended before this board was done
    UNFINISHED = "unfinished"  # of a run that was killed: only a report's reader sees it

    @property
    def good(self) -> bool:
        """Whether the board needs nothing more."""
        return self not in _BAD


_BAD = frozenset(
    {UnitVerdict.REFUSED, UnitVerdict.FAILED, UnitVerdict.STOPPED, UnitVerdict.UNFINISHED}
)


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A try that did not succeed: which one, at what speed, and why."""

    number: int
    baudrate: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnitResult:
    """One board's result.

    Attributes:
        unit: the identity that it has now or was to get; "" where none was chosen.
        where: the row, as file:line; "" without one.
        facts: None where it never answered.
        error: what stopped the last attempt; None where all is well.
        failed: the attempts that did not succeed.
        bytes_written: over all attempts; what was held already is not among them.
        times_ms: by step, over all attempts.
        boot: the words of its boot line, where that was waited for.
        csms: whether it reached the CSMS; None where nobody waited for it.
    """

    port: str
    verdict: UnitVerdict
    unit: str = ""
    where: str = ""
    facts: BoardFacts | None = None
    error: EvtoolError | None = None
    failed: tuple[FailedAttempt, ...] = ()
    bytes_written: int = 0
    times_ms: Mapping[str, int] = field(default_factory=dict)
    boot: Mapping[str, str] | None = None
    csms: bool | None = None

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
        if self.verdict.good:
            return 0
        return EvtoolError.exit_code if self.error is None else self.error.exit_code

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(self.times_ms.values()) / 1000
