# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's files, opened: every command that works on a fleet reads it in this one way."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.errors import ConfigError
from evtool.provision.fleet.check import FleetCheck, ReadSecrets
from evtool.provision.fleet.columns import column_of
from evtool.provision.fleet.csv_rows import DELIMITERS, CsvRows, Row
from evtool.provision.fleet.drawn_serial import PLAIN, DrawnSerial
from evtool.provision.fleet.finding import Finding
from evtool.provision.fleet.fleet_toml import read_fleet_toml
from evtool.provision.fleet.order import SECRET_NAMES, UnitOrder, Where
from evtool.provision.fleet.row_order import OrderMaker
from evtool.provision.fleet.template import Given, Template
from evtool.provision.fleet.uniqueness import Holders, Uniqueness

if TYPE_CHECKING:
    from evtool.project import Project, Secret, SecretRef

_LARGEST_TOML = 16 * 1024 * 1024
_LARGEST_CERTIFICATE = 64 * 1024
_NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


@dataclass(frozen=True, slots=True)
class FleetInput:
    """A fleet's file with its template; reading it again gives the same rows.

    Attributes:
        file: with the units, as messages name it.
        findings: about the template.
        is_readable: False where the template is no TOML: then no row is looked at.
    """

    file: str
    template: Template
    findings: tuple[Finding, ...]
    delimiter: str | None
    toml_rows: tuple[Row | Finding, ...] | None
    is_readable: bool = True

    def checked(
        self, look: ReadSecrets, now: datetime, holders: Holders | None = None
    ) -> FleetReading:
        """The fleet, to be read once."""
        maker = OrderMaker(self.template, str(Path(self.file).parent), _certificate_reader())
        unique = Uniqueness(secrets.token_bytes(32), holders)
        return FleetReading(self, FleetCheck(maker, look, now, unique))

    @contextmanager
    def rows(self) -> Iterator[Iterable[Row | Finding]]:
        """The rows, while the file is open.

        Raises:
            ConfigError: it cannot be opened.
        """
        if self.toml_rows is not None:
            yield self.toml_rows
            return
        try:
            stream = Path(self.file).open("rb")  # the `with` is below
        except OSError as error:
            raise _unreadable(Path(self.file), error) from error
        with stream:
            yield CsvRows(self.file, stream, self.template.names(), self.delimiter)


@dataclass(slots=True)
class FleetReading:
    """One pass over a fleet.

    Attributes:
        separator: what separates the cells of a CSV file, once it was found out.
    """

    fleet: FleetInput
    check: FleetCheck
    separator: str = ""

    def __iter__(self) -> Iterator[UnitOrder | Finding]:
        """An order for each good row, a finding for each thing to be said."""
        yield from self.fleet.findings
        if not self.fleet.is_readable:
            return
        with self.fleet.rows() as rows:
            for found in self.check.check(rows):
                self._note_separator(rows)
                yield found
            self._note_separator(rows)

    def _note_separator(self, rows: object) -> None:
        if isinstance(rows, CsvRows) and not self.separator:
            self.separator = rows.separator


class UnseenSecrets:
    """Looks at no secret, for those who only want to know the units; a `ReadSecrets`."""

    def prepare(self, wanted: Iterable[tuple[str, str, SecretRef]]) -> None:
        """Nothing is to be found out."""

    def look(self, unit: str, name: str, ref: SecretRef) -> Secret | None:
        """As if each were to be generated."""
        return None


def open_fleet(
    file: Path,
    *,
    project: Project | None,
    template_path: Path | None = None,
    delimiter: str | None = None,
    shared: Iterable[str] = (),
    serial_range: str | None = None,
    serial_format: str | None = None,
) -> FleetInput:
    """The fleet that `file` describes, CSV or TOML.

    Args:
        project: gives what neither rows nor template say.
        serial_range, serial_format: where serial numbers are drawn from that no row gives.

    Raises:
        ConfigError: a file cannot be read, or an option is wrong.
    """
    named = tuple(map(column_of, shared))
    for name in named:
        if name not in SECRET_NAMES:
            raise ConfigError(
                f"--shared: {name!a} is none of {', '.join(SECRET_NAMES)}", fix="name one of them"
            )
    separator = None if delimiter is None else _NAMED.get(delimiter.lower(), delimiter)
    if separator is not None and separator not in DELIMITERS:
        raise ConfigError(
            f"--delimiter: {delimiter!a} separates no cells", fix="give , ; tab or | in quotes"
        )
    is_toml = file.suffix.lower() == ".toml"
    if is_toml and template_path is not None:
        raise ConfigError(f"--template: {file} has its own", fix="leave one of them out")
    toml_path = file if is_toml else template_path
    units, rows, template, is_readable = str(file), None, Template(), True
    findings: tuple[Finding, ...] = ()
    if toml_path is not None:
        read = read_fleet_toml(str(toml_path), _whole(toml_path), str(toml_path.parent))
        template, findings, is_readable = read.template, read.findings, read.is_readable
        separator = separator or read.delimiter
        if is_toml:
            units, rows, findings = _units_of(toml_path, read.units, read.rows, findings)
        elif read.units is not None or read.rows:
            raise ConfigError(
                f"{toml_path} names units of its own", fix=f"leave {file} or --template out"
            )
    defaults = {} if project is None else _project_values(project)
    draws = drawn_serial_option(serial_range, serial_format)
    drawn = {}
    if draws is not None:
        value = {"range": draws.range, "format": draws.format}
        drawn = {
            "serial_number": Given(value, Where("--serial-range", 1), "", literal=True),
        }
    template = replace(
        template,
        values=defaults | dict(template.values) | drawn,
        shared=template.shared | frozenset(named),
    )
    return FleetInput(units, template, findings, separator, rows, is_readable)


def drawn_serial_option(serial_range: str | None, serial_format: str | None) -> DrawnSerial | None:
    """What `--serial-range` and `--serial-format` say together; None without a range.

    Raises:
        ConfigError: they say nothing that can be followed.
    """
    if serial_range is None:
        if serial_format is not None:
            raise ConfigError("--serial-format: of which range?", fix="give --serial-range NAME")
        return None
    try:
        return DrawnSerial(serial_range, PLAIN if serial_format is None else serial_format)
    except ValueError as error:
        option = "--serial-range" if serial_format is None else "--serial-format"
        raise ConfigError(f"{option}: {error}", fix="such as EV{number:06}") from None


def _units_of(
    path: Path, units: str | None, rows: tuple[Row | Finding, ...], findings: tuple[Finding, ...]
) -> tuple[str, tuple[Row | Finding, ...] | None, tuple[Finding, ...]]:
    """The file of the units, the rows where they are in this one, and the findings."""
    if units is not None:
        return str(path.parent / units), None, findings
    if not rows and not findings:
        rule = 'no units: write [[unit]] tables, or units = "units.csv"'
        findings = (Finding(Where(str(path), 1), "", rule),)
    return str(path), rows, findings


def _project_values(project: Project) -> dict[str, Given]:
    """What evtool.toml says about every unit: all but who it is."""
    from evtool.toml_table import TomlTables

    tables = TomlTables(project.path)
    unit, wifi, csms = project.charge_point, project.wifi, project.csms
    values: list[tuple[str, str, str, object]] = [
        ("vendor", "charge_point", "vendor", unit.vendor),
        ("model", "charge_point", "model", unit.model),
        ("local_id_tag", "charge_point", "local_id_tag", unit.local_id_tag),
        ("wifi_ssid", "wifi", "ssid", wifi.ssid),
        ("wifi_passphrase", "wifi", "passphrase", wifi.passphrase),
        ("csms_url", "csms", "url", csms.url),
        ("authorization_key", "csms", "authorization_key", csms.authorization_key),
        ("security_profile", "csms", "security_profile", csms.security_profile),
    ]
    if csms.ca_certificate is not None:
        values.append(("ca_certificate", "csms", "ca_certificate", str(csms.ca_certificate)))
    file, root = str(project.path), str(project.root)
    return {
        name: Given(value, Where(file, tables.line(table, key)), root, literal=True)
        for name, table, key, value in values
    }


def _certificate_reader() -> Callable[[str], bytes]:
    from evtool.link.nvs_files import read_plain_file

    @lru_cache(maxsize=16)  # a fleet has one root; units' own certificates pass through
    def read(path: str) -> bytes:
        return read_plain_file(Path(path), _LARGEST_CERTIFICATE)

    return read


def _whole(path: Path) -> bytes:
    from evtool.link.nvs_files import read_limited

    try:
        return read_limited(path, _LARGEST_TOML)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot read {path}: {error.strerror or error}",
        fix="name a file that is there and that you may read",
    )
