# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, and the exit code that says so.

::

    EvtoolError        1
      CheckFailed      1   what was checked is bad; evtool itself worked
      ConfigError      2   fix the file, row or option (2 is also click's usage error)
        SecretMissing  2   a secret's reference leads nowhere yet
      DeviceError      3   cable, port, board, bus, CSMS
        LinkTimeout    3   it was there, then said nothing
        WrongBoard     3   it is not the board that was meant; nothing was written
        TransferFault  3   bytes were lost or spoiled on their way
        ChangeUndone   3   the ledger's database undid a change for another station's sake
      ToolError        4   esptool or pio failed
      Stopped        130   asked to end before it was done

Only `evtool.cli` turns one of these into an exit code. Any other exception is a bug of
evtool and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class EvtoolError(Exception):
    """The base: `message` names the thing and the rule, `fix` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return self.message if self.fix is None else f"{self.message}\n  fix: {self.fix}"

    def as_dict(self) -> dict[str, object]:
        """The error as `--json` prints it."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "fix": self.fix,
            "exit_code": self.exit_code,
        }


class CheckFailed(EvtoolError):
    """What was checked is bad: a stale file, a difference, an expectation not met."""


class ConfigError(EvtoolError):
    """Something the user wrote is wrong; names file, line, key and the rule where known."""

    exit_code = 2


class SecretMissing(ConfigError):
    """A secret's reference leads nowhere yet: variable not set, no file, nobody to ask."""


class DeviceError(EvtoolError):
    """The outside world: a port, a board, a bus, a CSMS."""

    exit_code = 3


class LinkTimeout(DeviceError):
    """It was there, then said nothing within its time limit."""


class WrongBoard(DeviceError):
    """It is not the board that was meant: another chip, or a rule keeps it out. Nothing was
    written."""


class TransferFault(DeviceError):
    """Bytes were lost or spoiled on their way: the whole of it may be tried again."""


class ChangeUndone(DeviceError):
    """The ledger's database undid a whole change for another one's sake: it may be done again."""


class Stopped(EvtoolError):
    """Asked to end (Ctrl-C, SIGTERM) before it was done."""

    exit_code = 130


class ToolError(EvtoolError):
    """A program that evtool runs (esptool, pio) failed.

    `argv` must come with secrets masked; `output` holds the last lines the tool printed, `log`
    names the file with all of them where one was kept.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        argv: Sequence[str] = (),
        return_code: int | None = None,
        output: str = "",
        fix: str | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(message, fix=fix)
        self.argv = tuple(argv)
        self.return_code = return_code
        self.output = output
        self.log = log

    def __str__(self) -> str:
        lines = [self.message]
        if self.argv:
            lines.append("  command: " + " ".join(self.argv))
        if self.return_code is not None:
            lines.append(f"  exit code: {self.return_code}")
        lines.extend("  | " + line for line in self.output.strip().splitlines()[-12:])
        if self.log is not None:
            lines.append(f"  log: {self.log}")
        if self.fix is not None:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | {
            "argv": list(self.argv),
            "return_code": self.return_code,
            "output": self.output,
            "log": None if self.log is None else str(self.log),
        }
