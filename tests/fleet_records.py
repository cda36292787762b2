# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's records as a ledger gives them, made without a ledger."""

from __future__ import annotations

from collections.abc import Mapping

from evtool.protocol.ledger_record import NO_HEAD, Head, Record, next_record

ROOT = "a1" * 32
OTHER_ROOT = "b2" * 32


class Records:
    """Adds to one chain, a minute a record."""

    def __init__(self, station: str = "bench") -> None:
        self._station = station
        self._head = NO_HEAD
        self._minutes = 0

    def add(
        self, event: str, unit: str, mac: str | None = None, fields: Mapping[str, object] = {}
    ) -> Record:
        """The next record."""
        self._minutes += 1
        day, minute = divmod(self._minutes, 1440)
        time = f"2030-01-{1 + day:02d}T{minute // 60:02d}:{minute % 60:02d}:00.000Z"
        record = next_record(
            self._station, self._head, time, event, unit=unit, mac=mac, fields=fields
        )
        self._head = Head(record.seq, record.hash)
        return record

    def pass_days(self, days: int) -> None:
        """Later records are so many days later."""
        self._minutes += 1440 * days

    def proved(self, unit: str, mac: str, root: str = ROOT, not_after: str = "") -> list[Record]:
        """A unit that went through without a fault."""
        held = {
            "charge_point": unit,
            "serial_number": f"SN-{unit}",
            "chip": "ESP32-D0WD-V3 (revision v3.0)",
            "build_id": "5f3e9a00c0ffee00",
            "image_sha256": "cd" * 32,
            "csms_url": "wss://csms.example.com/ocpp",
            "security_profile": 2,
            "ca_sha256": root,
            "ca_subject": "CN=Example Root",
            "ca_not_after": not_after or "2035-06-01T00:00:00+00:00",
        }
        return [
            self.add("claimed", unit, None, {"claims": [["identity", unit]]}),
            self.add("written", unit, mac, held),
            self.add("proved", unit, mac, {"boot": {}}),
        ]

    def failed(self, unit: str, step: str, cause: str, reason: str) -> list[Record]:
        """A unit that did not."""
        return [
            self.add("claimed", unit, None, {"claims": [["identity", unit]]}),
            self.add("failed", unit, None, {"step": step, "cause": cause, "reason": reason}),
        ]
