# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that the ledger keeps for boards, opened when one is needed and not before.

A board without encryption asks for none: then no passphrase is asked for, and no keyring opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import SecretRef
    from evtool.protocol.nvs_encryption import NvsKeys
    from evtool.provision.run.nvs_keys import SealedNvsKeys
    from evtool.provision.secrets.sealed_store import SealedStore


class LedgerKeys:
    """A `provision.plan.BoardKeys`.

    Args:
        place: where the sealing key is; None: nowhere, and nothing can be kept.
        root: the project's folder.
    """

    def __init__(self, ledger: SqlLedger, place: SecretRef | None, root: Path) -> None:
        self._ledger = ledger
        self._place = place
        self._root = root
        self._opened: SealedStore | None = None

    def kept(self, mac: str) -> NvsKeys | None:
        """The NVS keys that were kept last for a board."""
        return None if self._place is None else self._nvs_keys().kept(mac)

    def keep(self, mac: str, keys: NvsKeys) -> None:
        """Keep NVS keys for a board, durably; older ones stay.

        Raises:
            SecretMissing: there is no sealing key to keep them with.
        """
        self._nvs_keys().keep(mac, keys)

    def flash_key(self, mac: str) -> bytes | None:
        """The key of a board's encrypted flash, where the ledger has it."""
        from evtool.provision.security.kept_keys import SealedFlashKeys

        if self._place is None:
            return None
        sealed = self._sealed()
        return SealedFlashKeys(self._ledger, sealed, sealed.random).kept(mac)

    def _nvs_keys(self) -> SealedNvsKeys:
        from evtool.provision.run.nvs_keys import SealedNvsKeys

        return SealedNvsKeys(self._ledger, self._sealed())

    def _sealed(self) -> SealedStore:
        from evtool.cli.sealing_option import open_sealed
        from evtool.errors import SecretMissing

        if self._place is None:
            raise SecretMissing(
                "no sealing key: the NVS keys of a board are kept sealed in the ledger",
                fix="make one with `evtool provision secrets new-key`, and name it in evtool.toml: "
                "[provision] sealing_key",
            )
        if self._opened is None:
            self._opened = open_sealed(self._ledger, self._place, self._root)
        return self._opened
