# SPDX-License-Identifier: GPL-3.0-or-later
"""What went over the wire in one life of a charge point, and what it said of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["call", "result", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One OCPP message.

    Attributes:
        at_ms: since the start of the scenario.
        sent: by the charge point; else by the central system.
        action: of an answer, that of its call; empty where there was none.
        code: of a CALLERROR.
    """

    at_ms: int
    sent: bool
    kind: Kind
    unique_id: str
    action: str
    payload: Any
    code: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something beside the messages: `open`, `closed`, `off restart`, `boot`, ..."""

    at_ms: int
    what: str


@dataclass(slots=True)
class Record:
    """One life.

    Attributes:
        states: (time, fields) whenever one of the fields that OCPP tells of has changed.
        unreadable: texts that were no OCPP message.
    """

    messages: list[Message] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    states: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
