# SPDX-License-Identifier: GPL-3.0-or-later
"""A row and the template together: one unit's order, or what is wrong with either."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from evtool.project import ChargePoint, SecretRef
from evtool.provision.fleet.columns import COLUMNS, Column
from evtool.provision.fleet.csv_rows import Row
from evtool.provision.fleet.drawn_serial import DrawnSerial, read_drawn_serial
from evtool.provision.fleet.finding import Finding, shown
from evtool.provision.fleet.order import (
    AUTHORIZATION_KEY,
    CLIENT_KEY,
    WIFI_PASSPHRASE,
    UnitOrder,
    Where,
)
from evtool.provision.fleet.reference import check_environment_name, read_reference
from evtool.provision.fleet.template import Expansion, Given, Template, no_path

_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}\Z|[0-9a-f]{12}\Z")
_SPREADSHEET = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+\Z")
_NONE = SecretRef("generate")  # beside a problem
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}
# In these a blank at either end may be meant.
_BLANKS_COUNT = ("wifi_ssid",)


@dataclass(slots=True)
class OrderMaker:
    """Makes orders from the rows of one fleet.

    Args:
        template: with the project's values where it has none of its own.
        folder: of the file with the rows: names of files in them are relative to it.
        read_file: the bytes of a certificate's file; OSError where it cannot.
    """

    template: Template
    folder: str
    read_file: Callable[[str], bytes]

    def make(self, row: Row) -> tuple[UnitOrder, list[Finding]]:
        """The order, and what is to be said about it: it is one only if nothing is a problem."""
        values = _RowValues(self, row)
        serial, draws = values.serial()
        unit = ChargePoint(
            identity=values.text("identity"),
            vendor=values.text("vendor"),
            model=values.text("model"),
            serial_number=serial,
            local_id_tag=values.text("local_id_tag"),
        )
        passphrase = values.secret(WIFI_PASSPHRASE)
        key = values.secret(AUTHORIZATION_KEY)
        ssid, url = values.text("wifi_ssid"), values.text("csms_url")
        profile = values.profile()
        root, certificate = values.file("ca_certificate"), values.file("client_certificate")
        client_key = values.secret(CLIENT_KEY)
        mac, encrypt = values.mac(), values.flag("flash_encryption")
        order = UnitOrder(
            where=row.where,
            charge_point=unit,
            wifi_ssid=ssid,
            wifi_passphrase=passphrase or _NONE,
            csms_url=url,
            security_profile=profile,
            authorization_key=key or _NONE,
            ca_certificate=root,
            client_certificate=certificate,
            client_key=client_key,
            variables=values.used,
            mac=mac,
            flash_encryption=encrypt,
            shared=self.template.shared,
            draws=draws,
        )
        return order, values.findings


@dataclass(slots=True)
class _RowValues:
    """One row's values, by column; what is wrong with them gathers in `findings`."""

    maker: OrderMaker
    row: Row
    findings: list[Finding] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self._as_text(name, *self._value(COLUMNS[name]))

    def serial(self) -> tuple[str, DrawnSerial | None]:
        """The serial number, or where it is drawn from."""
        name = "serial_number"
        value, where = self._value(COLUMNS[name])
        if not isinstance(value, dict):
            return self._as_text(name, value, where), None
        try:
            return "", read_drawn_serial(value)
        except ValueError as error:
            self._problem(where, name, str(error))
            return "", None

    def _as_text(self, name: str, value: object, where: Where) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            kind = "number; put it into quotes" if isinstance(value, int) else "other kind of value"
            self._problem(where, name, f"must be a text, and is a {kind}")
            return ""
        return value

    def profile(self) -> int:
        name = "security_profile"
        value, where = self._value(COLUMNS[name])
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and re.fullmatch(r"[0-9]", value):
            return int(value)
        if value is not None:
            self._problem(where, name, "must be 0, 1, 2 or 3")
        return 0

    def flag(self, name: str) -> bool:
        value, where = self._value(COLUMNS[name])
        if isinstance(value, str):
            value = _FLAGS.get(value.casefold(), value)
        if isinstance(value, bool):
            return value
        if value is not None:
            self._problem(where, name, "must be true or false")
        return False

    def mac(self) -> str | None:
        text, where = self.text("mac"), self._place("mac")
        if not text:
            return None
        plain = text.lower()
        if not _MAC.match(plain):
            self._problem(where, "mac", f"{shown(text)} is no MAC: 24:6f:28:aa:bb:cc")
            return None
        octets = bytes.fromhex(plain.replace(":", "").replace("-", ""))
        if octets[0] & 1 or not any(octets):
            self._problem(where, "mac", f"{shown(text)} is no MAC of a board: a group's, or zero")
            return None
        return octets.hex(":")

    def file(self, name: str) -> bytes | None:
        value, where = self._value(COLUMNS[name])
        if not value:
            return None
        if not isinstance(value, str) or "\0" in value:
            self._problem(where, name, "must be a file's name")
            return None
        path = self._path(name, value)
        try:
            return self.maker.read_file(path)
        except OSError as error:
            self._problem(where, name, f"cannot read {path}: {error.strerror or error}")
            return None

    def secret(self, name: str) -> SecretRef | None:
        own = self.row.values.get(name)
        given = None if own is not None else self.maker.template.values.get(name)
        value = own if given is None else given.value
        where = self._place(name)
        if value is None:
            if COLUMNS[name].default is None:
                self._problem(where, name, "missing: neither the row nor the template has it")
            return None
        if isinstance(value, SecretRef):
            return value
        expansion = Expansion(self.maker.template, self.row)
        try:
            ref = read_reference(value)
            if given is not None and not given.literal:
                ref = SecretRef(ref.kind, expansion.fill(ref.name))
            return self._placed(ref, name, expansion)
        except ValueError as error:
            self._problem(self._blame(expansion, given, name), name, str(error))
            return None

    def _placed(self, ref: SecretRef, name: str, expansion: Expansion) -> SecretRef:
        self.used.update(expansion.used)
        if ref.kind == "generate" and name == CLIENT_KEY:
            raise ValueError("belongs to a certificate, so it is not generated: env or file")
        if ref.kind == "prompt" and name == CLIENT_KEY:
            raise ValueError("has several lines, so it is not asked for: env or file")
        if ref.kind == "env":
            check_environment_name(ref.name)
        elif ref.kind == "file":
            no_path(expansion.used)
            if "\0" in ref.name:
                raise ValueError("a file's name holds no NUL")
            return SecretRef("file", self._path(name, ref.name))
        elif ref.kind == "prompt" and name not in self.maker.template.shared:
            raise ValueError(
                "a prompt asks once for all units: name the secret in `shared`, or use env or file"
            )
        return ref

    def _value(self, column: Column) -> tuple[object, Where]:
        """The value and the place to blame for it; None where there is none, and that is told."""
        name = column.name
        own = self.row.values.get(name)
        where = self._place(name)
        if own is not None:
            if isinstance(own, str):
                self._check_cell(where, name, own)
            return own, where
        given = self.maker.template.values.get(name)
        if given is None:
            if column.default is None:
                self._problem(where, name, "missing: neither the row nor the template has it")
            return column.default, where
        if given.literal or not isinstance(given.value, str):
            return given.value, given.where
        expansion = Expansion(self.maker.template, self.row)
        try:
            text = expansion.fill(given.value)
            if column.kind == "path":
                no_path(expansion.used)
        except ValueError as error:
            self._problem(self._blame(expansion, given, name), name, str(error))
            return None, where
        self.used.update(expansion.used)
        return text, self._blame(expansion, given, name)

    def _blame(self, expansion: Expansion, given: Given | None, name: str) -> Where:
        """The template's place where it is the same for all rows, else the row's."""
        if given is None:
            return self.row.place(name)
        is_of_row = expansion.used or expansion.missing in self.row.columns
        return self.row.where if is_of_row else given.where

    def _place(self, name: str) -> Where:
        if name in self.row.values or name not in self.maker.template.values:
            return self.row.place(name)
        return self.maker.template.values[name].where

    def _path(self, name: str, written: str) -> str:
        """A file's name as it was written, from the folder of the file that it was written in."""
        given = self.maker.template.values.get(name)
        own = given is None or name in self.row.values
        return str(PurePath(self.maker.folder if own or given is None else given.folder, written))

    def _check_cell(self, where: Where, name: str, text: str) -> None:
        if name in _BLANKS_COUNT:
            return
        if text != text.strip():
            self._problem(where, name, f"{shown(text)} has blanks around it")
        elif text.startswith("="):
            self._problem(where, name, f"{shown(text)} is a spreadsheet's formula, not its value")
        elif _SPREADSHEET.match(text):
            rule = f"{shown(text)} looks like a long number that a spreadsheet has rounded"
            self.findings.append(Finding(where, name, rule, is_warning=True))

    def _problem(self, where: Where, name: str, rule: str) -> None:
        self.findings.append(Finding(where, name, rule))
