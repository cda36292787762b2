# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machines for updates, logs and certificates want done.

The charge point carries out what concerns messages and restarts; transfers and keys are for
whoever drives it, who reports back with the ticket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evtool.protocol import ocpp16

LogKind = Literal["DiagnosticsLog", "SecurityLog"]


@dataclass(frozen=True, slots=True)
class Notify:
    """A Call for the CSMS."""

    action: str
    payload: ocpp16.Payload


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch a firmware image and keep it for `Install`; report with `on_downloaded`.

    Attributes:
        ticket: to report with; a new one at every attempt.
        url: it may hold a password, so it is not shown.
    """

    ticket: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """Send a log to a server; report with `on_uploaded`.

    Attributes:
        key: which of the two uploads it is, to report with.
        ticket: to report with; a new one at every attempt.
        url: a folder, or a file's own address; it may hold a password, so it is not shown.
        file_name: what the CSMS has been told.
        log: which one.
        oldest_unix_ms, latest_unix_ms: what the CSMS wants of it; None for no bound.
    """

    key: str
    ticket: int
    url: str = field(repr=False)
    file_name: str
    log: LogKind
    oldest_unix_ms: int | None = None
    latest_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Install:
    """Install the image that was last fetched; report with `on_installed`.

    Attributes:
        ticket: to report with.
        sha256: of the image, in hex digits: it is this one, or the installation is "unverified".
    """

    ticket: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop a transfer; nothing is to be reported.

    Attributes:
        key: of the Upload; "" for a Download.
        ticket: of either.
    """

    ticket: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Restart the charge point once the CSMS has heard what waits for it."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A security event (security whitepaper edition 2, table of security events)."""

    event: str
    tech_info: str = ""


@dataclass(frozen=True, slots=True)
class MakeKey:
    """Make a private key and hand it over with `on_key`."""


Work = Download | Upload | Install | Abandon | MakeKey
"""What whoever drives the charge point carries out."""
