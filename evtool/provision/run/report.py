# SPDX-License-Identifier: GPL-3.0-or-later
"""One board's result as a document; it has the shape of a flashing station's
(docs/flashing.md), so that the same programs read both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from evtool.protocol.board_flash import BoardFacts
from evtool.provision.fleet.order import UnitOrder
from evtool.provision.run.board import Firmware
from evtool.provision.run.verdict import UnitResult, UnitVerdict


def fingerprint(orders: Iterable[UnitOrder], firmware: Firmware | None, action: str) -> str:
    """SHA-256 over who the units are and what they run, hex; no value of theirs is in it."""
    digest = hashlib.sha256(action.encode())
    for order in orders:
        digest.update(f"|{order.identity}".encode())
    digest.update(b"" if firmware is None else firmware.sha256.encode())
    return digest.hexdigest()


def unit_document(result: UnitResult) -> dict[str, object]:
    """One board's result."""
    error = result.error if result.verdict is not UnitVerdict.REPEATED else None
    return (
        {
            "serial_port": result.port,
            "verdict": result.verdict.value,
            "unit": result.unit or None,
            "where": result.where or None,
        }
        | ({} if result.facts is None else _facts(result.facts))
        | {
            "exit_code": result.exit_code,
            "error": None if error is None else type(error).__name__,
            "message": None if result.error is None else result.error.message,
            "fix": None if result.error is None else result.error.fix,
            "attempts": result.attempts,
            "failed_attempts": [
                {"number": each.number, "baudrate": each.baudrate, "reason": each.reason}
                for each in result.failed
            ],
            "bytes_written": result.bytes_written,
            "times_ms": dict(result.times_ms),
            "boot": None if result.boot is None else dict(result.boot),
            "csms": result.csms,
        }
    )


def _facts(facts: BoardFacts) -> dict[str, object]:
    return {
        "mac": facts.chip.mac,
        "chip": facts.chip.chip,
        "description": facts.chip.description,
        "flash_size": facts.flash_size,
        "secured": list(facts.secured) if facts.security_known else None,
    }
