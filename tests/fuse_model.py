# SPDX-License-Identifier: GPL-3.0-or-later
"""A chip's fuses as espefuse shows and burns them, in memory, and the virtual chip that they make.

That espefuse does the same with its own emulated fuses is what test_security_rehearsal.py shows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from board_fuses import fuses_of

from evtool.protocol.chip_fuses import Fuse, FuseState
from evtool.virtual.chips import CHIPS
from evtool.virtual.fuses import Fuses

_PURPOSES = {"XTS_AES_128_KEY": 4} | {f"SECURE_BOOT_DIGEST{n}": 9 + n for n in range(3)}
_BLANK = Fuse(0, bytes(32))
_OFF = Fuse(0)
FIELDS = {
    "esp32": (
        "FLASH_CRYPT_CNT", "FLASH_CRYPT_CONFIG", "CODING_SCHEME", "ABS_DONE_0", "ABS_DONE_1",
        "DISABLE_DL_DECRYPT", "DISABLE_DL_CACHE", "DISABLE_DL_ENCRYPT", "JTAG_DISABLE",
        "DIS_CACHE", "RD_DIS", "UART_DOWNLOAD_DIS",
    ),
    "later": (
        "SPI_BOOT_CRYPT_CNT", "SECURE_BOOT_EN", "DIS_DOWNLOAD_ICACHE", "DIS_DOWNLOAD_DCACHE",
        "DIS_DIRECT_BOOT", "DIS_DOWNLOAD_MANUAL_ENCRYPT", "DIS_PAD_JTAG", "DIS_USB_JTAG",
        "DIS_ICACHE", "RD_DIS", "ENABLE_SECURITY_DOWNLOAD",
        *(f"SECURE_BOOT_KEY_REVOKE{n}" for n in range(3)),
        *(f"KEY_PURPOSE_{n}" for n in range(6)),
    ),
}  # fmt: skip
BLOCKS = {"esp32": ("BLOCK1", "BLOCK2"), "later": tuple(f"BLOCK_KEY{n}" for n in range(6))}


def blank(chip: str, mac: str = "02:45:56:00:00:01") -> FuseState:
    """A chip as the factory leaves it."""
    kind = chip if chip == "esp32" else "later"
    fuses = dict.fromkeys(FIELDS[kind], _OFF) | dict.fromkeys(BLOCKS[kind], _BLANK)
    return FuseState(chip, mac, fuses)


def changed(state: FuseState, **fuses: Fuse | int) -> FuseState:
    """The same chip with other fuses; an int is a field's value."""
    made = {name: Fuse(each) if isinstance(each, int) else each for name, each in fuses.items()}
    return dataclasses.replace(state, fuses={**state.fuses, **made})


@dataclass
class ModelFuses:
    """A `secure_unit.Fuses`.

    Attributes:
        hidden: what stands in blocks that cannot be read any more.
    """

    state: FuseState
    hidden: dict[str, bytes] = field(default_factory=dict)

    def read(self) -> FuseState:
        return self.state

    def burn_key(self, block: str, key: bytes, purpose: str | None) -> None:
        self._burn_block(block, key[::-1], purpose, readable=False)

    def burn_digest(self, block: str, digest: bytes, purpose: str | None) -> None:
        self._burn_block(block, digest, purpose, readable=True)

    def burn_field(self, name: str, value: int) -> None:
        now = self.state[name]
        assert now.writeable, name
        assert now.value & value == now.value, name
        self.state = changed(self.state, **{name: dataclasses.replace(now, value=value)})

    def write_protect(self, name: str) -> None:
        now = self.state[name]
        self.state = changed(self.state, **{name: dataclasses.replace(now, writeable=False)})

    def _burn_block(self, block: str, data: bytes, purpose: str | None, *, readable: bool) -> None:
        now = self.state[block]
        assert len(data) == 32
        assert now.readable
        assert now.data in (bytes(32), data), "a key over a key"
        assert now.writeable or now.data == data
        self.hidden[block] = data
        shown = data if readable else bytes(32)
        fuses: dict[str, Fuse | int] = {block: Fuse(0, shown, readable, writeable=False)}
        if purpose is not None:
            number = block.removeprefix("BLOCK_KEY")
            fuses[f"KEY_PURPOSE_{number}"] = Fuse(_PURPOSES[purpose], writeable=False)
        self.state = changed(self.state, **fuses)

    def virtual(self) -> Fuses:
        """The chip that these fuses make."""
        chip = CHIPS[self.state.chip]
        security, value = chip.security, self.state.value
        if chip.name == "esp32":
            return fuses_of(
                chip,
                (security.flash_encryption, value("FLASH_CRYPT_CNT")),
                (security.encryption_config, value("FLASH_CRYPT_CONFIG")),
                (security.secure_boot, value("ABS_DONE_1")),
                block1=self.hidden.get("BLOCK1", bytes(32)),
                block2=self.hidden.get("BLOCK2", bytes(32)),
            )
        return fuses_of(
            chip,
            (security.flash_encryption, value("SPI_BOOT_CRYPT_CNT")),
            (security.secure_boot, value("SECURE_BOOT_EN")),
            *((each, value(f"KEY_PURPOSE_{n}")) for n, each in enumerate(security.key_purposes)),
            *(
                (each, value(f"SECURE_BOOT_KEY_REVOKE{n}"))
                for n, each in enumerate(security.revoked)
            ),
            **{f"block{4 + int(name[-1])}": data for name, data in self.hidden.items()},
        )
