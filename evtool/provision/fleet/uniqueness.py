# SPDX-License-Identifier: GPL-3.0-or-later
"""What only one unit may have: within a fleet, and among all that were ever provisioned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from evtool.project import Secret
from evtool.provision.fleet.drawn_serial import DrawnSerial
from evtool.provision.fleet.finding import Finding
from evtool.provision.fleet.order import WIFI_PASSPHRASE, UnitOrder, Where
from evtool.provision.fleet.seen import SeenValues
from evtool.provision.secrets.fingerprint import key_fingerprint

# Central systems compare identities so, more often than not, and CiString is made so.
_LONGEST_SERIAL = 25  # OCPP's CiString25Type
_CASE = " (capital and small letters count as the same)"


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a value that only one unit may have.

    Attributes:
        unit: the identity.
        since: the time of the claim, for people.
    """

    unit: str
    since: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """A range of serial numbers: its last one, and how many were not drawn yet."""

    last: int
    left: int


class Holders(Protocol):
    """What was ever provisioned."""

    def holder(self, kind: str, value: str) -> Held | None:
        """Who holds `value`; kinds: identity, serial, mac, key (a fingerprint)."""

    def prepare(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Find out at once what `holder` will be asked for next: (kind, value)."""

    def serial_of(self, identity: str) -> str | None:
        """The serial number that the unit was given; None where it never was one."""

    def has_number(self, range_name: str, identity: str) -> bool:
        """Whether the unit needs no other: it has a serial number, or drew one of this range."""

    def numbers_of(self, range_name: str) -> Numbers | None:
        """The numbers of a range; None where there is no such range."""


@dataclass(slots=True)
class Uniqueness:
    """Remembers what the units of one fleet have.

    Args:
        hash_key: random, of this run alone.
        holders: None where nothing is recorded yet.
    """

    hash_key: bytes
    holders: Holders | None = None
    _seen: dict[str, SeenValues] = field(default_factory=dict)
    _draws: dict[str, int] = field(default_factory=dict)

    def prepare(self, units: Iterable[tuple[UnitOrder, Mapping[str, Secret]]]) -> None:
        """Find out at once what `findings` will need for these orders with their secrets."""
        if self.holders is None:
            return
        wanted = []
        for order, secrets in units:
            unit = order.charge_point
            wanted += [("identity", unit.identity), ("serial", unit.serial_number)]
            if order.mac is not None:
                wanted.append(("mac", order.mac))
            wanted += [
                ("key", key_fingerprint(secret.reveal()))
                for name, secret in secrets.items()
                if name != WIFI_PASSPHRASE and name not in order.shared
            ]
        self.holders.prepare(wanted)

    def findings(
        self, order: UnitOrder, secrets: Mapping[str, Secret], place: Callable[[str], Where]
    ) -> Iterator[Finding]:
        """What this unit has and another has already; `place` says where a column stands."""
        unit = order.charge_point
        values = [
            ("identity", "identity", unit.identity),
            ("serial_number", "serial", unit.serial_number),
        ]
        if order.mac is not None:
            values.append(("mac", "mac", order.mac))
        for column, kind, value in values:
            if not value:
                continue
            previous = self._previous(order, kind, value.casefold())
            if previous is not None:
                rule = f"{value!a} is another unit's already{_CASE if kind != 'mac' else ''}"
                yield Finding(place(column), column, rule, previous)
            yield from self._held(order, place(column), column, kind, value)
        if order.draws is not None:
            yield from self._drawn(order, order.draws, place("serial_number"))
        for name, secret in secrets.items():
            if name not in order.shared:
                yield from self._secret(order, name, secret, place(name))

    def _drawn(self, order: UnitOrder, draws: DrawnSerial, place: Where) -> Iterator[Finding]:
        """Whether its range has a number for it."""
        if self.holders is None or self.holders.has_number(draws.range, order.identity):
            return
        numbers = self.holders.numbers_of(draws.range)
        column = "serial_number"
        if numbers is None:
            rule = (
                f"there is no range {draws.range!a} of serial numbers (ledger); define it: "
                "evtool provision ledger range NAME FIRST LAST"
            )
            yield Finding(place, column, rule)
            return
        if len(draws.text(numbers.last)) > _LONGEST_SERIAL:
            rule = f"{draws.text(numbers.last)!a} would be longer than {_LONGEST_SERIAL} characters"
            yield Finding(place, column, rule)
        drawn = self._draws[draws.range] = self._draws.get(draws.range, 0) + 1
        if drawn > numbers.left:
            rule = f"no number is left for it: range {draws.range!a} has {numbers.left} (ledger)"
            yield Finding(order.where, column, rule)

    def _secret(
        self, order: UnitOrder, name: str, secret: Secret, place: Where
    ) -> Iterator[Finding]:
        is_key = name != WIFI_PASSPHRASE
        value = key_fingerprint(secret.reveal()) if is_key else secret.reveal()
        previous = self._previous(order, "key" if is_key else name, value)
        if previous is not None:
            rule = "the same secret as another unit's; give each its own, or name it in `shared`"
            yield Finding(place, name, rule, previous)
        if is_key:
            yield from self._held(order, place, name, "key", value)

    def _previous(self, order: UnitOrder, kind: str, value: str) -> Where | None:
        seen = self._seen.get(kind)
        if seen is None:
            seen = self._seen[kind] = SeenValues(self.hash_key)
        line = seen.first_line(value.encode("utf-8", "surrogatepass"), order.where.line)
        return None if line == order.where.line else Where(order.where.file, line)

    def _held(
        self, order: UnitOrder, place: Where, column: str, kind: str, value: str
    ) -> Iterator[Finding]:
        held = None if self.holders is None else self.holders.holder(kind, value)
        if self.holders is None or held is None:
            return
        if held.unit != order.identity:
            what = "this secret" if kind == "key" else f"{value!a}"
            rule = f"{what} belongs to {held.unit!a} since {held.since} (ledger)"
            yield Finding(place, column, rule)
        elif kind == "identity" and order.draws is None:
            serial = self.holders.serial_of(order.identity)
            if serial not in (None, order.charge_point.serial_number):
                rule = f"was given to the unit with serial number {serial!a} (ledger)"
                yield Finding(place, column, rule)
