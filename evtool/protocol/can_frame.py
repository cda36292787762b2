# SPDX-License-Identifier: GPL-3.0-or-later
"""One CAN 2.0 frame, and the value that stands for one that cannot be believed."""

from __future__ import annotations

from dataclasses import dataclass

MAX_STANDARD_ID = 0x7FF
MAX_EXTENDED_ID = 0x1FFFFFFF
MAX_DATA_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame or record of ours that breaks its own rules; it counts as not received."""

    reason: str


@dataclass(frozen=True, slots=True)
class CanFrame:
    """A classic CAN frame (ISO 11898-1).

    Args:
        can_id: 11-bit identifier, or 29-bit where `extended`.
        data: 0 to 8 bytes; empty for a remote frame.
        extended: 29-bit identifier.
        remote: a remote transmission request, which carries no data.
        dlc: data length code; the length of `data` unless the frame is remote.

    Raises:
        ValueError: identifier, data or dlc out of range.
    """

    can_id: int
    data: bytes = b""
    extended: bool = True
    remote: bool = False
    dlc: int = -1

    def __post_init__(self) -> None:
        limit = MAX_EXTENDED_ID if self.extended else MAX_STANDARD_ID
        if not 0 <= self.can_id <= limit:
            raise ValueError(f"can_id 0x{self.can_id:X} is beyond 0x{limit:X}")
        if len(self.data) > MAX_DATA_LENGTH:
            raise ValueError(f"a CAN frame holds at most 8 bytes, not {len(self.data)}")
        if self.dlc < 0:
            object.__setattr__(self, "dlc", len(self.data))
        if self.remote and self.data:
            raise ValueError("a remote frame carries no data")
        if self.dlc > MAX_DATA_LENGTH or (not self.remote and self.dlc != len(self.data)):
            raise ValueError(f"dlc {self.dlc} does not match {len(self.data)} data bytes")

    def __str__(self) -> str:
        width = 8 if self.extended else 3
        body = "remote" if self.remote else self.data.hex(" ").upper()
        return f"{self.can_id:0{width}X} [{self.dlc}] {body}".rstrip()
