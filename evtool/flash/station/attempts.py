# SPDX-License-Identifier: GPL-3.0-or-later
"""Which failures are worth another try of the whole board, and how: again, then slower."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.errors import CheckFailed, EvtoolError, LinkTimeout, TransferFault

SLOW_BAUDRATE = 115_200
_MOST = 3
# Connecting is slow already, and has tried several times itself.
_MOST_SILENT = 2


class ProofFailed(CheckFailed):
    """The flash does not hold what was written to it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a whole board: its number from 1, and the speed of the data."""

    number: int
    baudrate: int


def first_attempt(baudrate: int) -> Attempt:
    """The try that every board gets."""
    return Attempt(1, baudrate)


def next_attempt(last: Attempt, error: EvtoolError) -> Attempt | None:
    """The try after one that ended with `error`; None where another one cannot help.

    A board that was refused, a port that is missing or busy and a failed boot proof are as
    they are; lost and spoiled bytes and a silent board may be otherwise the next time.
    """
    if isinstance(error, TransferFault | ProofFailed):
        most = _MOST
    elif isinstance(error, LinkTimeout):
        most = _MOST_SILENT
    else:
        return None
    if last.number >= most:
        return None
    number = last.number + 1
    slower = min(last.baudrate, SLOW_BAUDRATE) if number == _MOST else last.baudrate
    return Attempt(number, slower)
