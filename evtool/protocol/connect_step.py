# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a connection to a central system: its name, how it ended, what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StepName = Literal["dns", "tcp", "tls", "http", "subprotocol"]

Outcome = Literal[
    "ok",
    "timed_out",
    # dns, tcp
    "no_such_host",
    "refused",
    "unreachable",
    "closed",
    # tls
    "no_tls",
    "unknown_authority",
    "expired",
    "not_yet_valid",
    "wrong_host",
    "client_certificate_refused",
    "other_certificate_fault",
    "other_tls_fault",
    # http
    "status",
    "no_http",
    "bad_upgrade",
    # subprotocol
    "missing",
    "another",
]


@dataclass(frozen=True, slots=True)
class ConnectStep:
    """How far a connection came.

    Attributes:
        detail: what was seen: an address, a certificate, a status, an error's own words.
        status: of HTTP, at the step `http`.
    """

    name: StepName
    outcome: Outcome
    detail: str = ""
    status: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the next step could be tried."""
        return self.outcome == "ok"
