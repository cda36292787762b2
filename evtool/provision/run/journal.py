# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of one board's run: each only where it says what no earlier one does."""

from __future__ import annotations

from collections.abc import Mapping

from evtool.errors import EvtoolError
from evtool.provision.ledger.failure import failure_fields
from evtool.provision.ledger.store import Ledger
from evtool.provision.ledger.unit_state import UnitState
from evtool.provision.run.task import Content, Target

READ_BACK, UNCHANGED = "read_back", "unchanged"
WITHOUT_PROOF = "without_proof"
"""A field of `read_back` where nobody waits for the board to say what it holds."""


class Journal:
    """What is recorded of one board.

    Args:
        ledger: where.
        event: what is recorded when the flash holds the image.

    Attributes:
        changed: whether this run did or found anything new.
    """

    def __init__(self, ledger: Ledger, event: str) -> None:
        self._ledger = ledger
        self._event = event
        self._planned_sha256 = ""
        self._written_sha256 = ""
        self._is_seen: bool | None = None
        self.changed = False

    def planned(self, target: Target, content: Content) -> None:
        """The flash is about to be written to."""
        image = _image_of(content)
        if image == self._planned_sha256:
            return  # another try of the same
        with self._ledger.change() as change:
            content.keep(change)
            change.append("planned", unit=target.unit, mac=target.mac, fields=content.fields)
        self._planned_sha256 = image
        self.changed = True

    def written(self, target: Target, content: Content) -> bool:
        """The flash holds it, as the board's own hashes say.

        Returns:
            whether it is to be read back: not where an earlier run has seen it.
        """
        image = _image_of(content)
        if image != self._written_sha256 and (
            self.changed or not _holds(target.state, image, target.mac)
        ):
            with self._ledger.change() as change:
                content.keep(change)
                change.append(self._event, unit=target.unit, mac=target.mac, fields=content.fields)
            self._written_sha256 = image
            self._is_seen, self.changed = False, True
        if self._is_seen is None:
            self._is_seen = _was_seen(target.state)
        return not self._is_seen

    def read_back(self, target: Target, content: Content, *, is_last: bool) -> None:
        """Every byte of it was read back equal; `is_last` where no proof is to follow."""
        with self._ledger.change() as change:
            fields: dict[str, object] = {"image_sha256": _image_of(content)}
            if is_last:
                fields[WITHOUT_PROOF] = True
            change.append(READ_BACK, unit=target.unit, mac=target.mac, fields=fields)
        self._is_seen = self.changed = True

    def done(self, target: Target, content: Content, proof: Mapping[str, object] | None) -> None:
        """All of it is right; `proof` is what the board said, None where nobody listened."""
        is_proved = target.state is not None and target.state.proved is not None
        fields: dict[str, object] = {"image_sha256": _image_of(content)}
        if proof is not None and (self.changed or not is_proved):
            event, self.changed = "proved", True
        elif self.changed:
            return
        else:
            event = UNCHANGED
        with self._ledger.change() as change:
            change.append(
                event, unit=target.unit, mac=target.mac, fields=fields | dict(proof or {})
            )

    def failed(self, target: Target | None, mac: str, step: str, error: EvtoolError) -> None:
        """It ended with an error; `target` is None where the board was given none."""
        fields = failure_fields(step, error)
        with self._ledger.change() as change:
            change.append(
                "failed", unit=None if target is None else target.unit, mac=mac, fields=fields
            )


def _image_of(content: Content) -> str:
    return str(content.fields["image_sha256"])


def _was_seen(state: UnitState | None) -> bool:
    """Whether an earlier run has read back what the ledger says was written."""
    return state is not None and (
        state.proved is not None or state.status == "read_back" or state.last.event == "unchanged"
    )


def _holds(state: UnitState | None, image_sha256: str, mac: str) -> bool:
    """Whether the ledger says that the board `mac` was given this image last."""
    written = None if state is None else state.written
    return (
        written is not None
        and written.mac == mac
        and written.fields.get("image_sha256") == image_sha256
    )
