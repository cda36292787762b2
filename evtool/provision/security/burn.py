# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit shall have, and one thing to burn into its chip for it, for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class SecurityWish:
    """What a unit shall have.

    Attributes:
        flash_encryption: with a key of its own.
        digests: of the public keys that secure boot trusts, 32 bytes each; none: no secure boot.
        release: for the field; else for development: its loader still encrypts, JTAG works.
        lock_loader: at the end take the serial loader away (ESP32), or all but a few of its
            commands (later chips). evtool can read nothing from such a unit any more.
    """

    flash_encryption: bool = False
    digests: tuple[bytes, ...] = ()
    release: bool = False
    lock_loader: bool = False


class Stage(Enum):
    """When a fuse is burned.

    Attributes:
        KEYS: before the flash is written. They change nothing by themselves.
        SWITCHES: when the flash holds what the chip will ask for: from here on it does.
        LOCKS: what must not be changed, read or used any more.
        LOADER: last of all, when the unit has started: it takes the loader's commands away.
    """

    KEYS = "keys"
    SWITCHES = "switches"
    LOCKS = "locks"
    LOADER = "loader"


class Kind(Enum):
    """What is done.

    Attributes:
        KEY: a secret key: burned, then protected against reading and writing.
        DIGEST: the hash of a public key: burned, then protected against writing.
        FIELD: bits of a field.
        WRITE_PROTECT: the field, and what shares its protection, can be burned no more.
    """

    KEY = "key"
    DIGEST = "digest"
    FIELD = "field"
    WRITE_PROTECT = "write_protect"


@dataclass(frozen=True, slots=True)
class Burn:
    """One burn; none can be undone.

    Attributes:
        fuse: field or block, as espefuse names it.
        why: in a few words.
        value: of a FIELD, all of its bits as they will be.
        purpose: of a key's block on the later chips.
        data: of a KEY or DIGEST, 32 bytes in the order of espefuse's files; b"" in a plan
            that is only shown.
    """

    stage: Stage
    kind: Kind
    fuse: str
    why: str
    value: int = 0
    purpose: str | None = None
    data: bytes = field(default=b"", repr=False)

    @property
    def shown(self) -> str:
        """The value as it may be shown."""
        if self.kind is Kind.KEY:
            return "a key of 32 bytes, not readable afterwards"
        if self.kind is Kind.DIGEST:
            return self.data.hex()
        return f"{self.value:#x}" if self.kind is Kind.FIELD else "write-protected"

    def as_dict(self) -> dict[str, object]:
        """For JSON; without the key."""
        return {
            "stage": self.stage.value,
            "kind": self.kind.value,
            "fuse": self.fuse,
            "value": self.shown,
            "purpose": self.purpose,
            "why": self.why,
            "irreversible": True,
        }
