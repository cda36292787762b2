# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets for tests: rows and templates as text, secrets and files as dictionaries."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from evtool.errors import SecretMissing
from evtool.project import Secret, SecretRef
from evtool.provision.fleet.check import FleetCheck
from evtool.provision.fleet.csv_rows import CsvRows
from evtool.provision.fleet.finding import Finding
from evtool.provision.fleet.fleet_toml import read_fleet_toml
from evtool.provision.fleet.order import UnitOrder
from evtool.provision.fleet.row_order import OrderMaker
from evtool.provision.fleet.uniqueness import Holders, Uniqueness

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TEMPLATE = """
shared = ["wifi_passphrase"]
[template]
identity = "CP-{serial}"
vendor = "Example"
model = "EV-CAN-1"
wifi_ssid = "bench"
wifi_passphrase = { env = "WIFI" }
csms_url = "ws://csms.example/ocpp"
authorization_key = { generate = true }
"""


@dataclass(slots=True)
class Fleet:
    """A fleet, and what its references lead to.

    Attributes:
        secrets: by variable or file name.
        files: certificates, by path.
    """

    template: str = TEMPLATE
    secrets: Mapping[str, str] = field(default_factory=lambda: {"WIFI": "correct-horse"})
    files: Mapping[str, bytes] = field(default_factory=dict)
    holders: Holders | None = None

    def prepare(self, wanted: Iterable[tuple[str, str, SecretRef]]) -> None:
        pass

    def look(self, unit: str, name: str, ref: SecretRef) -> Secret | None:
        if ref.kind == "generate":
            return None
        if ref.name not in self.secrets:
            raise SecretMissing(f"{unit} {name}: nothing at {ref.name}")
        return Secret(self.secrets[ref.name])

    def read_file(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]

    def check(self, csv: str | None = None) -> tuple[list[UnitOrder], list[str], list[str]]:
        """Orders, problems and warnings; of the template's own units where `csv` is None."""
        read = read_fleet_toml("fleet.toml", self.template.encode(), "")
        check = FleetCheck(
            OrderMaker(read.template, "", self.read_file),
            self,
            NOW,
            Uniqueness(b"key of this test", self.holders),
        )
        rows = (
            read.rows
            if csv is None
            else CsvRows("f.csv", io.BytesIO(csv.encode()), read.template.names(), read.delimiter)
        )
        found = [*read.findings, *check.check(rows)]
        findings = [each for each in found if isinstance(each, Finding)]
        return (
            [each for each in found if isinstance(each, UnitOrder)],
            [str(each) for each in findings if not each.is_warning],
            [str(each) for each in findings if each.is_warning],
        )
