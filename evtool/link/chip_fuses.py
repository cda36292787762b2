# SPDX-License-Identifier: GPL-3.0-or-later
"""A chip's fuses read and burned by espefuse's own code, at a port that is open.

Keys go in as bytes in memory: never through an argument or a file. espefuse reads back what it
burns and compares it where it can be read.
"""

from __future__ import annotations

import io
import re
from typing import Any

import espefuse

from evtool.errors import ToolError
from evtool.protocol.chip_fuses import SECURITY_FUSES, Fuse, FuseState

_BLOCK = re.compile(r"[0-9a-f]{2}(?: [0-9a-f]{2})*\Z")


class ChipFuses:
    """The fuses of one chip.

    Args:
        chip: as esptool names it.
        esp: esptool's object for it, connected, or espefuse's emulated controller.
    """

    def __init__(self, chip: str, esp: Any) -> None:
        self._chip = chip
        self._esp = esp

    def read(self) -> FuseState:
        """All fields; keys that are not read-protected are among them.

        Raises:
            ToolError: espefuse does not know what it used to.
            esptool.FatalError: the chip does not tell.
        """
        mac, fuses = "", {}
        for each in self._commands().efuses:
            is_block = str(each.efuse_type).startswith("bytes")
            text = str(each.get_meaning()).replace("?", "0") if is_block else ""
            fuses[str(each.name)] = Fuse(
                int(each.get_bitstring().uint),
                bytes.fromhex(text) if _BLOCK.match(text) else b"",
                bool(each.is_readable()),
                bool(each.is_writeable()),
            )
            if each.name == "MAC":
                mac = text[:17].lower()
        missing = [name for name in ("MAC", *SECURITY_FUSES[self._chip].all) if name not in fuses]
        if missing:
            raise ToolError(f"espefuse knows no {', '.join(missing)}")
        return FuseState(self._chip, mac, fuses)

    def burn_key(self, block: str, key: bytes, purpose: str | None) -> None:
        """A secret key of 32 bytes, in the order of espefuse's files; then hidden and protected."""
        commands = self._commands()
        if purpose is None:
            # By this name espefuse turns the bytes round, as the ESP32's cipher wants them.
            commands.burn_key(["flash_encryption"], [io.BytesIO(key)])
        else:
            commands.burn_key([block], [io.BytesIO(key)], [purpose])

    def burn_digest(self, block: str, digest: bytes, purpose: str | None) -> None:
        """The hash of a public key, 32 bytes; stays readable, and is protected against writing."""
        commands = self._commands()
        if purpose is None:
            commands.burn_key([block], [io.BytesIO(digest)])
        else:
            commands.burn_key([block], [io.BytesIO(digest)], [purpose])

    def burn_field(self, name: str, value: int) -> None:
        """A field's bits; those burned already stay."""
        self._commands().burn_efuse({name: value})

    def write_protect(self, name: str) -> None:
        """Let a field, and what shares its protection, be burned no more."""
        self._commands().write_protect_efuse([name])

    def _commands(self) -> Any:
        # Each time anew: espefuse reads the fuses when it begins.
        return espefuse.init_commands(esp=self._esp, do_not_confirm=True)
