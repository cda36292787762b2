# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells one run from another, for `--retry-failed`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from evtool.provision.fleet.order import UnitOrder
from evtool.provision.run.board import Firmware


def fingerprint(orders: Iterable[UnitOrder], firmware: Firmware | None, action: str) -> str:
    """SHA-256 over who the units are and what they run, hex; no value of theirs is in it."""
    digest = hashlib.sha256(action.encode())
    for order in orders:
        digest.update(f"|{order.identity}".encode())
    digest.update(b"" if firmware is None else firmware.sha256.encode())
    return digest.hexdigest()
