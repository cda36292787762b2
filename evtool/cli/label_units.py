# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that `evtool provision labels` prints for, with what stands on their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evtool.cli.fleet_options import optional_fleet_options
from evtool.cli.ledger_option import existing_ledger, ledger_option, opened_ledger
from evtool.cli.options import project_option
from evtool.cli.sealing_option import sealing_option

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import ChargePoint, Project
    from evtool.provision.labels.content import LabelUnit
    from evtool.provision.ledger.unit_state import UnitState
    from evtool.provision.secrets.unit_secrets import UnitSecretStore

F = TypeVar("F", bound=Callable[..., Any])


def label_options(function: F) -> F:
    """[FILE] with its options, `--unit`, `--project`, `--ledger` and `--sealing-key`."""
    unit = click.option(
        "--unit", "units", multiple=True, metavar="ID", help="Only this one; may be repeated."
    )
    decorated: F = optional_fleet_options(
        unit(project_option(ledger_option(sealing_option(function))))
    )
    return decorated


class LabelRequest:
    """Which units, and where they are found.

    Args:
        file: the fleet's; None for the project's own unit.
        units: only these identities; all where it is empty.
        reading: how the file is read, as `open_fleet` takes it.
    """

    def __init__(
        self,
        file: Path | None,
        units: tuple[str, ...],
        project_path: Path | None,
        ledger_location: str | None,
        sealing_key: str | None,
        **reading: Any,
    ) -> None:
        from evtool.cli.options import found_project, open_project

        self.file = file
        self.units = units
        self.ledger_location = ledger_location
        self.sealing_key = sealing_key
        self.reading = reading
        if file is None:
            self.project: Project | None = open_project(project_path)
        else:
            self.project = found_project(project_path)
        self.root = Path.cwd() if self.project is None else self.project.root


class LabelUnits:
    """The units, with the values of their labels; iterate once."""

    def __init__(self, request: LabelRequest, ledger: SqlLedger | None, *, with_wifi: bool) -> None:
        self._request = request
        self._ledger = ledger
        self._with_wifi = with_wifi
        self._given: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[LabelUnit]:
        """Each unit.

        Raises:
            ConfigError: the file has a fault, a unit is not in it, or a secret is missing.
        """
        from evtool.errors import ConfigError

        request = self._request
        project = request.project
        left = set(request.units)
        units = self._of_fleet() if request.file is not None else self._of_project()
        for unit in units:
            if not request.units or unit.identity in left:
                left.discard(unit.identity)
                self._given.append((unit.identity, unit.values["mac"]))
                yield unit
        if left:
            where = request.file or (project.path if project is not None else "here")
            raise ConfigError(
                f"--unit {sorted(left)[0]}: not in {where}", fix="name an identity that is"
            )

    def record(self, form: str) -> None:
        """Note in the ledger, made if it is missing, that these were made; all, or none."""
        request = self._request
        with (
            opened_ledger(request.ledger_location, request.project) as ledger,
            ledger.change() as change,
        ):
            for unit, mac in self._given:
                fields = {"format": form, "passphrase": self._with_wifi}
                change.append("label", unit=unit, mac=mac or None, fields=fields)

    def _of_fleet(self) -> Iterator[LabelUnit]:
        from evtool.cli.fleet_input import UnseenSecrets, open_fleet
        from evtool.errors import ConfigError
        from evtool.provision.fleet.finding import Finding

        request = self._request
        if request.file is None:
            return
        fleet = open_fleet(request.file, project=request.project, **request.reading)
        secrets = self._secrets() if self._with_wifi else None
        for order in fleet.checked(UnseenSecrets(), datetime.now(UTC)):
            if isinstance(order, Finding):
                if not order.is_warning:
                    raise ConfigError(
                        str(order), fix="mend it; `evtool provision fleet check` names all"
                    )
                continue
            passphrase = ""
            if secrets is not None and (not request.units or order.identity in request.units):
                secret = secrets.resolve(order.identity, "wifi_passphrase", order.wifi_passphrase)
                passphrase = secret.reveal()
            yield self._unit(
                order.charge_point,
                order.csms_url,
                (order.wifi_ssid, passphrase),
                order.mac,
                order.variables,
            )

    def _of_project(self) -> Iterator[LabelUnit]:
        from evtool.cli.options import secret_source

        project = self._request.project
        if project is None:
            return
        passphrase = ""
        if self._with_wifi:
            source = secret_source(project, create=False)
            name = f"{project.charge_point.identity} wifi_passphrase"
            passphrase = source.resolve(project.wifi.passphrase, name).reveal()
        network = (project.wifi.ssid, passphrase)
        unit = self._with_drawn_serial(project.charge_point)
        yield self._unit(unit, project.csms.url, network, None, {})

    def _with_drawn_serial(self, unit: ChargePoint) -> ChargePoint:
        from evtool.cli.provision_serial import kept_serial

        kept = None if self._ledger is None else kept_serial(self._ledger, unit.identity)
        return unit if kept is None else replace(unit, serial_number=kept[0])

    def _drawn_serial(self, unit: str, known: UnitState | None) -> str:
        """The serial number that the unit drew; raises ConfigError where it has none yet."""
        from evtool.errors import ConfigError
        from evtool.provision.run.serial_draw import held_serial

        serial = None if self._ledger is None else held_serial(self._ledger, unit, known)
        if serial is None:
            raise ConfigError(
                f"{unit} has no serial number yet: it is drawn when a board becomes the unit",
                fix="provision it first, or name the units to print with --unit",
            )
        return serial

    def _secrets(self) -> UnitSecretStore:
        from evtool.cli.provision_fleet_check import opened
        from evtool.cli.sealing_option import unit_secrets

        request = self._request
        sealed = opened(self._ledger, request.sealing_key, request.project, request.root)
        return unit_secrets(sealed, request.root)

    def _unit(
        self,
        charge_point: ChargePoint,
        csms_url: str,
        network: tuple[str, str],
        bound_mac: str | None,
        variables: Mapping[str, str],
    ) -> LabelUnit:
        from evtool.protocol.csms_url import charge_point_url
        from evtool.provision.labels.content import LabelUnit, wifi_text
        from evtool.provision.ledger.unit_state import state

        known = None if self._ledger is None else state(self._ledger, charge_point.identity)
        mac = (None if known is None else known.mac) or bound_mac or ""
        serial = charge_point.serial_number or self._drawn_serial(charge_point.identity, known)
        own = {
            "identity": charge_point.identity,
            "serial_number": serial,
            "vendor": charge_point.vendor,
            "model": charge_point.model,
            "mac": mac,
            "csms_url": charge_point_url(csms_url, charge_point.identity),
            "ssid": network[0],
            "wifi": wifi_text(*network) if network[1] else "",
        }
        return LabelUnit(charge_point.identity, dict(variables) | own)


@contextmanager
def open_label_units(request: LabelRequest, *, with_wifi: bool) -> Iterator[LabelUnits]:
    """The units that were asked for, while their ledger is open, if there is one.

    Args:
        with_wifi: the passphrases are needed.
    """
    with existing_ledger(request.ledger_location, request.project) as ledger:
        yield LabelUnits(request, ledger, with_wifi=with_wifi)
