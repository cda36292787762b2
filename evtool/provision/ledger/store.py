# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ledger offers, whichever database keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from evtool.protocol.ledger_record import Claim, Head, Record

EVENTS = (
    "claimed",
    "released",
    "planned",
    "written",
    "read_back",
    "proved",
    "failed",
    "unchanged",
    "exported",
    "rotated",
    "rolled_back",
    "decommissioned",
    "sealed_key_changed",
    "merged",
    "security_enabled",
    "label",
    "serial_taken",
    "range_added",
    "overridden",
)
"""The events that evtool records. `failed` has the fields step, cause (the class of its exit
code) and reason; `overridden` says which refusal a person overrode."""


class Sealed(Protocol):
    """Bytes that only the sealing key opens."""

    @property
    def name(self) -> str:
        """Such as secret/CP-0001/authorization_key/1 or image/SHA-256."""

    @property
    def key_id(self) -> str:
        """Which key sealed it."""

    @property
    def data(self) -> bytes:
        """The sealed bytes."""


class Change(Protocol):
    """One transaction: all of it is on the disk when its `with` block ends, or nothing is.

    Its methods raise DeviceError where the database refuses.
    """

    def append(
        self,
        event: str,
        *,
        unit: str | None = None,
        mac: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Record:
        """Add a record to this station's chain.

        Raises:
            ValueError, TypeError: `fields` are no JSON values.
        """

    def claim(
        self, unit: str, claims: Iterable[tuple[str, str]], *, mac: str | None = None
    ) -> Record | None:
        """Win every (kind, value) of `claims` for `unit`, and its board where `mac` is given.

        What the unit has already is left as it is, and bound to the board if it was not.

        Returns:
            The record `claimed`, or None where nothing was new.

        Raises:
            ClaimTaken: another unit, or another board, has one of them. None was won.
        """

    def claim_holder(self, kind: str, value: str) -> Claim | None:
        """Who has this value, if anyone, as this transaction sees it."""

    def release(
        self,
        unit: str,
        claims: Iterable[tuple[str, str]],
        *,
        mac: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Record | None:
        """Give up every (kind, value) that `unit` (on board `mac`) holds.

        Args:
            fields: what else the record shall say, such as a reason.

        Returns:
            The record `released`, whose fields are the claims given up (`claims`) and those
            that the unit still has (`left`); or None where it held none of them.
        """

    def hold_sealing_key(self) -> None:
        """Until this ends, no other makes a key of the ledger or replaces one."""

    def change_sealing_key(self) -> None:
        """Until this ends, no other seals, makes a key or replaces one; waits for those who do."""

    def put_sealed(self, name: str, key_id: str, data: bytes) -> bool:
        """Keep sealed bytes. False: there are some of this name, which stay."""

    def has_sealed(self, name: str) -> bool:
        """Whether sealed bytes of this name are kept, as this transaction sees it."""

    def replace_sealed(self, name: str, old_key_id: str, key_id: str, data: bytes) -> bool:
        """Seal anew: replaces what `old_key_id` sealed. False: there is no such thing (now)."""

    def add_range(self, name: str, first: int, last: int) -> None:
        """Define a range of serial numbers; the same one again changes nothing.

        Raises:
            ConfigError: a range of this name has other limits, or `last` is below `first`.
        """

    def next_serial(
        self, range_name: str, unit: str, is_free: Callable[[int], bool] = lambda _number: True
    ) -> int:
        """The unit's number from a range: the one that it took before, or the next free one.

        Called before the first claim of a change: no two that do so wait for one another.

        Args:
            is_free: says of a number whether the unit can have it; the others are passed over
                for good, also the one that it took before.

        Raises:
            RangeEnded: no number is left, or there is no such range.
        """


class Ledger(Protocol):
    """An open ledger; its reading methods raise DeviceError where the database refuses."""

    @property
    def station(self) -> str:
        """The name of this station's chain."""

    def change(self) -> AbstractContextManager[Change]:
        """A transaction, durable when the block ends; an exception in it undoes all of it."""

    def history(self, *, unit: str | None = None, mac: str | None = None) -> list[Record]:
        """All records of a unit or a board, oldest first."""

    def latest(self) -> Iterator[list[Record]]:
        """For each unit, the latest record of each event and board, oldest first; by unit."""

    def chain(self, station: str, after: int = 0, until: int | None = None) -> Iterator[Record]:
        """The records of a station: those behind `after`, up to `until`."""

    def heads(self) -> dict[str, Head]:
        """Where each station's chain ends, as the ledger holds it."""

    def claim_holder(self, kind: str, value: str) -> Claim | None:
        """Who has this value, if anyone."""

    def holders_of(self, kind: str, values: Sequence[str]) -> Mapping[str, Claim]:
        """Who has those of `values` that anyone has; for many at once."""

    def claims_of(self, unit: str) -> list[Claim]:
        """Everything that a unit has claimed."""

    def claims(self) -> Iterator[Claim]:
        """Every claim, by kind and value."""

    def contested(self) -> list[Claim]:
        """Claims on what another holder has; they come from merging ledgers."""

    def get_sealed(self, name: str) -> Sealed | None:
        """The sealed bytes of this name."""

    def sealed_of(self, names: Sequence[str]) -> Mapping[str, Sealed]:
        """The sealed bytes of those of `names` that there are; for many at once."""

    def sealed_names(self, prefix: str = "") -> list[tuple[str, str]]:
        """(name, key id) of all sealed bytes whose name begins so, by name."""
