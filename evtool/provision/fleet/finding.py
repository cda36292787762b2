# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a fleet's file, or likely to be, and where a person finds it."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.provision.fleet.order import Where


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that is broken, or one warning.

    Attributes:
        where: file and line.
        column: the column or key; "" where the row or the file as a whole is meant.
        rule: what is wrong and what would be right; never a secret.
        previous: where the same was said before.
        is_warning: the fleet may be provisioned all the same.
    """

    where: Where
    column: str
    rule: str
    previous: Where | None = None
    is_warning: bool = False

    def __str__(self) -> str:
        """`FILE:LINE: COLUMN: RULE (FILE:LINE)`."""
        column = f"{self.column}: " if self.column else ""
        previous = f" ({self.previous})" if self.previous is not None else ""
        return f"{self.where}: {column}{self.rule}{previous}"

    def as_dict(self) -> dict[str, object]:
        """The finding as `--json` prints it."""
        previous = self.previous
        return {
            "event": "warning" if self.is_warning else "problem",
            "file": self.where.file,
            "line": self.where.line,
            "column": self.column or None,
            "rule": self.rule,
            "previous": previous and {"file": previous.file, "line": previous.line},
        }


def shown(text: str, longest: int = 40) -> str:
    """A value that is no secret, harmless on a terminal and short enough for one line."""
    quoted = ascii(text)
    return quoted if len(quoted) <= longest else f"{quoted[: longest - 4]}...'"
