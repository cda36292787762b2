# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed charging profiles: replaced, cleared, stacked, kept over a restart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from evtool.reference_impl.charge_point.smart_charging.composite import Composite
from evtool.reference_impl.charge_point.smart_charging.composite import (
    composite_schedule as compose,
)
from evtool.reference_impl.charge_point.smart_charging.kept_profile import read_kept_profile
from evtool.reference_impl.charge_point.smart_charging.limit import Limit, Supply
from evtool.reference_impl.charge_point.smart_charging.profile import (
    MAXIMUM,
    TX,
    TX_DEFAULT,
    Profile,
)
from evtool.reference_impl.charge_point.smart_charging.rules import STRICT_RULES, Rules

KEY_PREFIX = "profile."


class ProfileStore:
    """The profiles of one charge point.

    Args:
        rules: what it accepts.
        stored: what earlier runs kept, by key; what cannot be read is dropped.
    """

    __slots__ = ("_changed", "_profiles", "dropped", "rules")

    def __init__(
        self, rules: Rules = STRICT_RULES, stored: Mapping[str, str] | None = None
    ) -> None:
        self.rules = rules
        self._profiles: tuple[Profile, ...] = ()
        self._changed: dict[str, str | None] = {}
        self.dropped: tuple[str, ...] = ()
        """The keys whose text was no profile of this charge point."""
        for key, text in (stored or {}).items():
            if key.startswith(KEY_PREFIX):
                self._load(key, text)

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    def install(self, profile: Profile) -> bool:
        """Add a profile, in place of those with its id or its slot; False when it is full."""
        replaced = {
            other
            for other in self._profiles
            if other.profile_id == profile.profile_id or other.slot == profile.slot
        }
        staying = len(self._profiles)
        if self.rules.replaces_when_full:
            staying -= len(replaced)
        if staying >= self.rules.max_profiles:
            return False
        self._remove(replaced)
        self._profiles = (*self._profiles, profile)
        self._changed[_key(profile)] = json.dumps(
            {"version": 1, **asdict(profile)}, separators=(",", ":")
        )
        return True

    def clear(
        self,
        profile_id: int | None = None,
        connector_id: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
    ) -> bool:
        """Remove what fits every filter that is given; False when nothing did."""
        wanted = (profile_id, connector_id, purpose, stack_level)
        fitting = {
            profile
            for profile in self._profiles
            if all(
                want is None or want == has
                for want, has in zip(wanted, (profile.profile_id, *_filtered(profile)), strict=True)
            )
        }
        self._remove(fitting)
        return bool(fitting)

    def end_transaction(self, connector_id: int) -> None:
        """Forget the profiles that were for the transaction of this connector alone."""
        self.clear(connector_id=connector_id, purpose=TX)

    def bind(self, connector_id: int, transaction_id: int) -> None:
        """The CSMS has named the transaction: drop profiles that are for another one."""
        self._remove(
            {
                profile
                for profile in self._profiles
                if (profile.purpose, profile.connector_id) == (TX, connector_id)
                and profile.transaction_id not in (None, transaction_id)
            }
        )

    def take_changes(self) -> dict[str, str | None]:
        """What is to be kept since the last call, by key; None forgets the key."""
        changed, self._changed = self._changed, {}
        return changed

    def limit(self, unix_ms: int, transaction_start_ms: int | None, connector_id: int = 1) -> Limit:
        """What the profiles allow at a moment.

        Args:
            unix_ms: the moment.
            transaction_start_ms: None for no transaction; then only the maximum counts.
            connector_id: 0 for the charge point as a whole.
        """
        limit = Limit()
        for groups in self._stacks(transaction_start_ms, connector_id):
            for profile in (profile for group in groups for profile in group):
                found = profile.limit(unix_ms, transaction_start_ms, self.rules)
                if found is not None:
                    limit = limit.both(found)
                    break
        return limit

    def next_change(
        self, unix_ms: int, transaction_start_ms: int | None, connector_id: int
    ) -> int | None:
        """When MicroOcpp believes that `limit` changes next; None for never."""
        change: int | None = None
        for groups in self._stacks(transaction_start_ms, connector_id):
            for profile in (profile for group in groups for profile in group):
                change = profile.next_change(unix_ms, transaction_start_ms, change)
                if profile.limit(unix_ms, transaction_start_ms, self.rules) is not None:
                    break
        return change

    def _stacks(
        self, transaction_start_ms: int | None, connector_id: int
    ) -> tuple[tuple[tuple[Profile, ...], ...], ...]:
        """The profiles in the order in which they count; the first of a stack that says something
        does, and of both stacks the lower limit."""
        own: tuple[tuple[Profile, ...], ...] = ()
        if connector_id != 0 and transaction_start_ms is not None:
            default, general = self._of(TX_DEFAULT, connector_id), self._of(TX_DEFAULT, 0)
            if self.rules.stacks_connectors:
                # Sorting is stable: at the same level the connector's own comes first.
                own = (self._of(TX, connector_id), _by_level((*default, *general)))
            else:
                own = (self._of(TX, connector_id), default, general)
        return own, (self._of(MAXIMUM, 0),)

    def limit_ma(
        self,
        unix_ms: int,
        transaction_start_ms: int | None,
        connector_id: int = 1,
        supply: Supply | None = None,
    ) -> int | None:
        """The same in mA per phase, None for no limit."""
        return self.limit(unix_ms, transaction_start_ms, connector_id).in_amperes(
            supply or Supply()
        )

    def changes(
        self, begin: int, end: int, transaction_start_ms: int | None, connector_id: int
    ) -> set[int]:
        """The moments after `begin` and before `end` at which `limit` may change."""
        return {
            moment
            for profile in self._profiles
            if profile.connector_id in (0, connector_id)
            for moment in profile.changes(begin, end, transaction_start_ms)
        }

    def composite(
        self,
        connector_id: int,
        unix_ms: int,
        duration_s: int,
        transaction_start_ms: int | None,
        supply: Supply,
        unit: str | None = None,
    ) -> Composite | None:
        """See `composite_schedule`."""
        return compose(self, connector_id, unix_ms, duration_s, transaction_start_ms, supply, unit)

    def _of(self, purpose: str, connector_id: int) -> tuple[Profile, ...]:
        return _by_level(
            profile
            for profile in self._profiles
            if (profile.purpose, profile.connector_id) == (purpose, connector_id)
        )

    def _remove(self, profiles: set[Profile]) -> None:
        self._changed |= dict.fromkeys(map(_key, profiles))
        self._profiles = tuple(other for other in self._profiles if other not in profiles)

    def _load(self, key: str, text: str) -> None:
        profile = read_kept_profile(text, self.rules)
        if (
            profile is None
            or _key(profile) != key
            or len(self._profiles) >= self.rules.max_profiles
            or any(other.profile_id == profile.profile_id for other in self._profiles)
        ):
            self.dropped = (*self.dropped, key)
            self._changed[key] = None
        else:
            self._profiles = (*self._profiles, profile)


def _key(profile: Profile) -> str:
    return KEY_PREFIX + ".".join(str(part) for part in profile.slot)


def _filtered(profile: Profile) -> tuple[int, str, int]:
    return profile.connector_id, profile.purpose, profile.stack_level


def _by_level(profiles: Iterable[Profile]) -> tuple[Profile, ...]:
    return tuple(sorted(profiles, key=lambda profile: -profile.stack_level))
