# SPDX-License-Identifier: GPL-3.0-or-later
"""How updates and uploads are tried, and what they do to the connectors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """Where MicroOcpp departs from the specification, in updates and uploads.

    Attributes:
        counts_first_attempt: `retries` is the number of attempts.
        default_interval_s: the pause between attempts where the request names none.
        further_pause_ms: what it waits beyond that.
        blocks_while_downloading: connectors are Unavailable from the first attempt on, not only
            while the installation waits or runs.
        retries_installation: a failed installation is followed by another attempt.
        restores: connectors are available again after a failed update (D22).
        restarts: an installation ends with a restart of the charge point.
        file_name: what GetDiagnostics.conf names; "" makes a name from the time.
    """

    counts_first_attempt: bool = False
    default_interval_s: int = 60
    further_pause_ms: int = 0
    blocks_while_downloading: bool = False
    retries_installation: bool = False
    restores: bool = True
    restarts: bool = False
    file_name: str = ""


STRICT_UPDATE = UpdateRules()
MICROOCPP_UPDATE = UpdateRules(
    counts_first_attempt=True,
    default_interval_s=180,
    further_pause_ms=10_000,
    blocks_while_downloading=True,
    retries_installation=True,
    restores=False,
    restarts=True,
    file_name="diagnostics.log",
)
