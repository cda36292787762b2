# SPDX-License-Identifier: GPL-3.0-or-later
"""The flash encryption keys of chips, sealed in the ledger and found by MAC.

`flash_key/MAC`: one for each chip, for ever. A chip takes one key in its life, so nothing ever
takes the place of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from evtool.errors import CheckFailed
from evtool.provision.ledger.store import Ledger
from evtool.provision.secrets.sealed_store import SealedStore

_SIZE = 32


def flash_key_name(mac: str) -> str:
    """Under which the key of a chip is sealed."""
    return f"flash_key/{mac}"


@dataclass(frozen=True, slots=True)
class SealedFlashKeys:
    """A `secure_unit.KeptFlashKeys`.

    Attributes:
        random: so many bytes from the operating system's generator.
    """

    ledger: Ledger
    sealed: SealedStore
    random: Callable[[int], bytes] = field(repr=False)

    def kept(self, mac: str) -> bytes | None:
        """The key of a chip.

        Raises:
            ConfigError: it was sealed with another key.
            CheckFailed: what is kept is no key.
        """
        found = self.sealed.get(flash_key_name(mac))
        if found is not None and len(found) != _SIZE:
            raise CheckFailed(
                f"what the ledger keeps as the flash's key of {mac} is none",
                fix="take the ledger from a backup",
            )
        return found

    def make(self, mac: str) -> bytes:
        """The key of a chip; a new one is in the ledger, durably, before this returns."""
        found = self.kept(mac)
        if found is None:
            with self.ledger.change() as change:
                self.sealed.put(change, flash_key_name(mac), self.random(_SIZE))
            # Another station may have been first: what is kept counts.
            found = self.kept(mac)
        if found is None:
            raise CheckFailed(
                f"the flash's key of {mac} is not in the ledger after all",
                fix="check the ledger with `evtool provision ledger verify`",
            )
        return found
