# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a fleet, checked one by one and against each other, before anything is written.

Nothing is kept of a row but hashes of what must not come twice, so a fleet may be as long as
it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Protocol

from evtool.errors import ConfigError
from evtool.project import Secret, SecretRef
from evtool.provision.fleet.csv_rows import Row
from evtool.provision.fleet.finding import Finding
from evtool.provision.fleet.order import AUTHORIZATION_KEY, CLIENT_KEY, UnitOrder, Where
from evtool.provision.fleet.row_order import OrderMaker
from evtool.provision.fleet.uniqueness import Uniqueness
from evtool.provision.identity import IdentityInput, judge_identity

# What a generated secret will look like: a rule that this one keeps, that one keeps too.
_TO_BE_GENERATED = Secret("0123456789abcdefghij")
_AT_ONCE = 200  # rows whose claims and secrets are asked for together
_COLUMNS = {
    ("wifi", "ssid"): "wifi_ssid",
    ("wifi", "passphrase"): "wifi_passphrase",
    ("csms", "url"): "csms_url",
}


class ReadSecrets(Protocol):
    """Looks secrets up and changes nothing."""

    def prepare(self, wanted: Iterable[tuple[str, str, SecretRef]]) -> None:
        """Find out at once what `look` will be asked for next: (unit, name, reference)."""

    def look(self, unit: str, name: str, ref: SecretRef) -> Secret | None:
        """The secret, or None where it will be generated.

        Raises:
            ConfigError: the reference leads nowhere, or to what no secret may stand in.
        """


@dataclass(slots=True)
class _Unit:
    """A row on its way: what is known of it, and what is wrong with it."""

    row: Row
    order: UnitOrder
    findings: list[Finding]
    broken: set[str]
    secrets: dict[str, Secret] = field(default_factory=dict)


@dataclass(slots=True)
class FleetCheck:
    """Checks the rows of one fleet.

    Args:
        maker: makes an order from a row.
        secrets: looks up what the references lead to.
        now: aware.
        unique: knows what other units have.

    Attributes:
        units: how many rows were read.
        to_generate: how many secrets of theirs are to be made.
    """

    maker: OrderMaker
    secrets: ReadSecrets
    now: datetime
    unique: Uniqueness
    units: int = 0
    to_generate: int = 0
    # Findings about the template would come again with every row.
    _told: set[Finding] = field(default_factory=set)

    def check(self, rows: Iterable[Row | Finding]) -> Iterator[UnitOrder | Finding]:
        """An order for each row that is good, and a finding for each thing that is not."""
        rest = iter(rows)
        while chunk := list(islice(rest, _AT_ONCE)):
            units = [self._made(row) for row in chunk if isinstance(row, Row)]
            self.secrets.prepare(each for unit in units for each in unit.order.wanted_secrets())
            for unit in units:
                self._look(unit)
            self.unique.prepare((unit.order, unit.secrets) for unit in units)
            ready = iter(units)
            for row in chunk:
                if isinstance(row, Finding):
                    yield row
                else:
                    yield from self._told_once(next(ready))

    def _told_once(self, unit: _Unit) -> Iterator[UnitOrder | Finding]:
        row = unit.row
        # Of a column that is broken already nothing more is said.
        judged = self._judged(unit.order, row, unit.secrets)
        unit.findings += [each for each in judged if each.column not in unit.broken]
        for finding in unit.findings:
            if finding.where.file != row.where.file or finding.where.line != row.where.line:
                if finding in self._told:
                    continue
                self._told.add(finding)
            yield finding
        if all(finding.is_warning for finding in unit.findings):
            yield unit.order

    def _made(self, row: Row) -> _Unit:
        self.units += 1
        order, findings = self.maker.make(row)
        broken = {finding.column for finding in findings if not finding.is_warning}
        return _Unit(row, order, findings, broken)

    def _look(self, unit: _Unit) -> None:
        """Find the secrets that are there already, and note what is wrong with the others."""
        for name, ref in unit.order.secret_references().items():
            if name in unit.broken:
                continue
            identity = unit.order.identity
            try:
                secret = self.secrets.look(identity, name, ref)
            except ConfigError as error:
                rule = error.message.removeprefix(f"{identity} {name}: ")
                unit.findings.append(Finding(self._place(unit.row, name), name, rule))
                unit.broken.add(name)
                continue
            if secret is None:
                self.to_generate += 1
            else:
                unit.secrets[name] = secret

    def _judged(
        self, order: UnitOrder, row: Row, secrets: Mapping[str, Secret]
    ) -> Iterator[Finding]:
        unit = order.charge_point
        if order.draws is not None:
            unit = replace(unit, serial_number=order.draws.text(0))
        values = IdentityInput(
            charge_point=unit,
            wifi_ssid=order.wifi_ssid,
            wifi_passphrase=secrets.get("wifi_passphrase", _TO_BE_GENERATED),
            csms_url=order.csms_url,
            authorization_key=secrets.get(AUTHORIZATION_KEY, _TO_BE_GENERATED),
            security_profile=order.security_profile,
            ca_certificate=order.ca_certificate,
            client_certificate=order.client_certificate,
            client_key=secrets.get(CLIENT_KEY),
        )
        judged = judge_identity(values, now=self.now)
        is_unseen = order.client_key is not None and CLIENT_KEY not in secrets
        for is_warning, told in ((False, judged.problems), (True, judged.warnings)):
            for table, key, rule in told:
                column = _COLUMNS.get((table, key), key)
                if column == CLIENT_KEY and is_unseen:
                    continue  # it is named, and nobody has looked at it
                yield Finding(self._place(row, column), column, rule, is_warning=is_warning)
        yield from self.unique.findings(order, secrets, lambda name: self._place(row, name))

    def _place(self, row: Row, column: str) -> Where:
        """The row's place, or the template's where all rows have the value from there."""
        if column in row.values or column not in self.maker.template.values:
            return row.where if column not in row.lines else row.place(column)
        given = self.maker.template.values[column]
        return row.where if given.is_for_each() else given.where
