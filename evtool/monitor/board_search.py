# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port a board is at, by the identity that it says when it starts."""

from __future__ import annotations

from evtool.monitor.block import Block, LineAssembler
from evtool.protocol.console import boot_fields


class BoardSearch:
    """Listens to ports until one says `identity` in its boot line.

    Attributes:
        heard: port -> the identity that it said.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._assemblers: dict[str, LineAssembler] = {}
        self.heard: dict[str, str] = {}

    def feed(self, port: str, data: bytes) -> bool:
        """Whether `data` from `port` says that the board is there."""
        assembler = self._assemblers.setdefault(port, LineAssembler())
        for line in Block(port, 0, 0, assembler.feed(data)).lines:
            fields = boot_fields(line)
            if fields is not None and "charge_point" in fields:
                self.heard[port] = fields["charge_point"]
        return self.heard.get(port) == self._identity
