# SPDX-License-Identifier: GPL-3.0-or-later
"""The NVS keys of boards, sealed in the ledger and found by MAC.

`nvs_keys/MAC/GENERATION`: each pair of keys that a board ever had stays, the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol.board_flash import SECTOR
from evtool.protocol.can_frame import Malformed
from evtool.protocol.nvs_encryption import NvsKeys, decode_keys, encode_keys
from evtool.provision.ledger.store import Ledger
from evtool.provision.run.board import SealedValues


@dataclass(frozen=True, slots=True)
class SealedNvsKeys:
    """A `provision.evcfg_encryption.KeptNvsKeys`."""

    ledger: Ledger
    sealed: SealedValues

    def kept(self, mac: str) -> NvsKeys | None:
        """The keys that were kept last for a board."""
        found = self._last(mac)[1]
        keys = None if found is None else decode_keys(found)
        return None if isinstance(keys, Malformed) else keys

    def keep(self, mac: str, keys: NvsKeys) -> None:
        """Keep keys for a board, durably; older ones stay."""
        # Looked up before: within a change it would need another connection beside its own.
        number = self._last(mac)[0] + 1
        with self.ledger.change() as change:
            while not self.sealed.put(change, _name(mac, number), encode_keys(keys, SECTOR)):
                number += 1

    def _last(self, mac: str) -> tuple[int, bytes | None]:
        number, last = 0, None
        while (found := self.sealed.get(_name(mac, number + 1))) is not None:
            number, last = number + 1, found
        return number, last


def _name(mac: str, number: int) -> str:
    return f"nvs_keys/{mac}/{number}"
