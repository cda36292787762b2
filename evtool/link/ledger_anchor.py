# SPDX-License-Identifier: GPL-3.0-or-later
"""A station's own note of where its chain ended, kept outside of the ledger.

A ledger that was cut at its end, replaced, or restored from an old backup is whole in itself;
only what is noted elsewhere shows it. Giving identities out of such a ledger would give them
away a second time.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evtool.errors import CheckFailed, EvtoolError
from evtool.link.files import write_atomically
from evtool.protocol.ledger_record import Head


@dataclass(frozen=True, slots=True)
class Noted:
    """What a station knows of a ledger: which one it was, and the head of its own chain."""

    ledger_id: str
    station: str
    head: Head


class Anchor:
    """A file with a note for each ledger that this folder's station has used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, where: str) -> Noted | None:
        """The note on the ledger at `where`, if there is one."""
        entry = self._entries().get(where)
        match entry:
            case {"ledger": str(ledger), "station": str(name), "seq": int(seq), "hash": str(hash_)}:
                return Noted(ledger, name, Head(seq, hash_))
        return None

    def write(self, where: str, noted: Noted) -> None:
        """Note where the chain ends now; what cannot be written is left out.

        It is a help for finding a loss: the records themselves are safe without it.
        """
        entries = self._entries()
        entries[where] = {
            "ledger": noted.ledger_id,
            "station": noted.station,
            "seq": noted.head.seq,
            "hash": noted.head.hash,
        }
        with suppress(EvtoolError):
            write_atomically(self.path, json.dumps(entries, indent=1) + "\n", 0o600)

    def _entries(self) -> dict[str, object]:
        with suppress(OSError, ValueError):
            entries = json.loads(self.path.read_text("utf-8"))
            if isinstance(entries, dict):
                return entries
        return {}


def check_noted(noted: Noted, ledger_id: str, found: str | None, where: str) -> None:
    """Compare the ledger with the note.

    Args:
        noted: what is known of it.
        ledger_id: of the ledger that is there now.
        found: the hash of its record of the noted station and number, if there is one.
        where: the ledger, for messages.

    Raises:
        CheckFailed: it is another one, or an older state of it.
    """
    if noted.ledger_id != ledger_id:
        problem = "it is not the ledger that this station has used so far"
    elif not noted.head.seq:
        return
    elif found is None:
        problem = f"this station's records up to {noted.head.seq} were in it, and are not now"
    elif found != noted.head.hash:
        problem = f"this station's record {noted.head.seq} is not the one that was noted"
    else:
        return
    raise CheckFailed(
        f"the ledger {where}: {problem}; identities could be given away twice",
        fix="put the right one back; or, if it is meant to be so, run "
        "`evtool provision ledger verify --accept`",
    )
