# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of an id_tag, from the CSMS's answers and its list (OCPP 1.6, IdTagInfo)."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol import ocpp16


@dataclass(frozen=True, slots=True)
class IdTagInfo:
    """Status, parent ("" for none) and the Unix milliseconds from which it is expired."""

    status: str
    parent_id_tag: str = ""
    expiry_unix_ms: int | None = None

    def is_accepted(self, unix_ms: int) -> bool:
        """Whether the tag may charge at a moment."""
        expired = self.expiry_unix_ms is not None and unix_ms >= self.expiry_unix_ms
        return self.status == "Accepted" and not expired

    def render(self) -> ocpp16.Payload:
        """The idTagInfo that `read_info` understands."""
        info: ocpp16.Payload = {"status": self.status}
        if self.parent_id_tag:
            info["parentIdTag"] = self.parent_id_tag
        if self.expiry_unix_ms is not None:
            info["expiryDate"] = ocpp16.render_timestamp(self.expiry_unix_ms)
        return info


def read_info(info: ocpp16.Payload) -> IdTagInfo:
    """An idTagInfo that conforms to its schema; a date that nobody can read is over."""
    expiry_unix_ms = None
    if "expiryDate" in info:
        expiry_unix_ms = ocpp16.parse_timestamp(info["expiryDate"]) or 0
    return IdTagInfo(info["status"], info.get("parentIdTag", ""), expiry_unix_ms)
