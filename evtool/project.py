# SPDX-License-Identifier: GPL-3.0-or-later
"""evtool.toml as one frozen value.

Types, choices and ranges are checked here. Whether an identity is one that a charge point
may carry is the business of `evtool.provision.identity`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evtool.errors import ConfigError
from evtool.toml_table import TomlTables

FILE_NAME = "evtool.toml"
LEDGER_FILE = ".evtool/ledger.db"
ENVIRONMENTS = ("host", "host_asan", "esp32dev", "esp32dev_lab")

SecretKind = Literal["env", "file", "prompt", "generate", "keyring"]
# What the ESP32's CAN controller has timings for (ESP-IDF, hal/twai_types.h).
_BITRATES = (25_000, 50_000, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000)
_MCP2515_FASTEST = 500_000  # with its 8 MHz crystal, and at least eight quanta in a bit
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Secret:
    """A text that hides itself in repr, str, format, logs and tracebacks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the one place that must write it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(****)"

    def __str__(self) -> str:
        return "****"

    def __format__(self, format_spec: str) -> str:
        return format("****", format_spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret comes from; never the secret.

    Attributes:
        kind: environment variable, file (first line), prompt, or generated and kept; the
            sealing key also from the keyring.
        name: of the variable, the file's absolute path, the name in the keyring; else empty.
    """

    kind: SecretKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class ChargePoint:
    """Who the unit is: OCPP identity and the names of BootNotification."""

    identity: str
    vendor: str
    model: str
    serial_number: str
    local_id_tag: str


@dataclass(frozen=True, slots=True)
class Wifi:
    """The network that the unit joins."""

    ssid: str
    passphrase: SecretRef


@dataclass(frozen=True, slots=True)
class Csms:
    """The central system; `url` is without the identity.

    Attributes:
        client_certificate: the unit's own with its chain, PEM, for security profile 3.
        client_key: where its private key is.
    """

    url: str
    authorization_key: SecretRef
    security_profile: int
    ca_certificate: Path | None
    client_certificate: Path | None = None
    client_key: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class Can:
    """The bus, and the choices that differ between packs and module firmwares."""

    bitrate: int
    buses: int
    capacity_source: str
    battery_capacity_mah: int
    module_current_scale: str
    module_temperature_scale: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for, and what the module may be told (mV, mA)."""

    request_min_mv: int
    request_max_mv: int
    request_max_ma: int
    max_voltage_mv: int
    max_current_ma: int


@dataclass(frozen=True, slots=True)
class Build:
    """What is built, from where, and with which packages where the registry is away.

    Attributes:
        microocpp: for the host, a folder with MicroOcpp and ArduinoJson.
        bundle: for the ESP32, the folder that `evtool bundle install --to` filled.
    """

    environment: str
    firmware: Path
    microocpp: Path | None
    bundle: Path | None


@dataclass(frozen=True, slots=True)
class Codegen:
    """Where generated files go; `can_database` is None for evtool's own."""

    can_database: Path | None
    secrets_header: Path
    cpp_tables: Path
    python_tables: Path


@dataclass(frozen=True, slots=True)
class Provision:
    """Where the record of all units is, and what opens its secrets.

    Attributes:
        ledger: the file's absolute path, or a URL such as postgresql+psycopg://host/database.
        sealing_key: None: generated secrets are kept in clear, mode 0600.
    """

    ledger: str
    sealing_key: SecretRef | None


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that evtool.toml says; every path is absolute."""

    path: Path
    root: Path
    charge_point: ChargePoint
    wifi: Wifi
    csms: Csms
    can: Can
    limits: Limits
    build: Build
    codegen: Codegen
    provision: Provision


def find_project(start: Path) -> Path:
    """The evtool.toml in `start` or the nearest folder above.

    Raises:
        ConfigError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigError(
        f"no {FILE_NAME} in {start} or any folder above",
        fix="make a project with `evtool init DIR`, or name its file with --project",
    )


def load_project(path: Path) -> Project:
    """Read evtool.toml.

    Raises:
        ConfigError: naming every unknown, missing or wrong key with file and line.
    """
    path = path.absolute()
    tables = TomlTables(path)
    root = path.parent
    project = Project(
        path=path,
        root=root,
        charge_point=ChargePoint(
            identity=tables.text("charge_point", "identity"),
            vendor=tables.text("charge_point", "vendor"),
            model=tables.text("charge_point", "model"),
            serial_number=tables.text("charge_point", "serial_number"),
            local_id_tag=tables.text("charge_point", "local_id_tag", "LOCAL"),
        ),
        wifi=Wifi(
            ssid=tables.text("wifi", "ssid"),
            passphrase=_secret(tables, root, "wifi", "passphrase"),
        ),
        csms=Csms(
            url=tables.text("csms", "url"),
            authorization_key=_secret(tables, root, "csms", "authorization_key"),
            security_profile=tables.integer("csms", "security_profile", 1, low=0, high=3),
            ca_certificate=_optional_path(tables, root, "csms", "ca_certificate"),
            client_certificate=_optional_path(tables, root, "csms", "client_certificate"),
            client_key=_private_key(tables, root, "csms", "client_key"),
        ),
        can=_can(tables),
        limits=_limits(tables),
        build=Build(
            environment=tables.text("build", "environment", "esp32dev", ENVIRONMENTS),
            firmware=root / tables.text("build", "firmware", "firmware"),
            microocpp=_optional_path(tables, root, "build", "microocpp"),
            bundle=_optional_path(tables, root, "build", "bundle"),
        ),
        codegen=_codegen(tables, root),
        provision=_provision(tables, root),
    )
    tables.finish()
    return project


def _can(tables: TomlTables) -> Can:
    bitrate = tables.integer("can", "bitrate", 250_000, low=_BITRATES[0], high=_BITRATES[-1])
    if bitrate not in _BITRATES and _BITRATES[0] <= bitrate <= _BITRATES[-1]:
        choices = ", ".join(map(str, _BITRATES))
        tables.problem("can", "bitrate", f"{bitrate} is none of: {choices}")
    buses = tables.integer("can", "buses", 1, low=1, high=2)
    if buses == 2 and bitrate > _MCP2515_FASTEST:
        rule = f"{bitrate} is too fast for the second bus's MCP2515: at most {_MCP2515_FASTEST}"
        tables.problem("can", "bitrate", rule)
    return Can(
        bitrate=bitrate,
        buses=buses,
        capacity_source=tables.text(
            "can", "capacity_source", "remaining", ("remaining", "charged_minus_discharged")
        ),
        battery_capacity_mah=tables.integer(
            "can", "battery_capacity_mah", 30_000, low=1, high=10_000_000
        ),
        module_current_scale=tables.text(
            "can", "module_current_scale", "1/1024", ("1/1024", "1/10")
        ),
        module_temperature_scale=tables.text(
            "can", "module_temperature_scale", "milli", ("milli", "deci")
        ),
    )


def _limits(tables: TomlTables) -> Limits:
    limits = Limits(
        request_min_mv=tables.integer("limits", "request_min_mv", 56_000, low=0, high=1_000_000),
        request_max_mv=tables.integer("limits", "request_max_mv", 85_500, low=1, high=1_000_000),
        request_max_ma=tables.integer("limits", "request_max_ma", 300_000, low=1, high=1_000_000),
        max_voltage_mv=tables.integer("limits", "max_voltage_mv", 85_500, low=1, high=1_000_000),
        max_current_ma=tables.integer("limits", "max_current_ma", 100_000, low=1, high=1_000_000),
    )
    if limits.request_min_mv >= limits.request_max_mv:
        tables.problem("limits", "request_min_mv", "must be below request_max_mv")
    if limits.max_voltage_mv < limits.request_min_mv:
        tables.problem("limits", "max_voltage_mv", "must not be below request_min_mv")
    return limits


def _codegen(tables: TomlTables, root: Path) -> Codegen:
    firmware = tables.text("build", "firmware", "firmware")
    return Codegen(
        can_database=_optional_path(tables, root, "codegen", "can_database"),
        secrets_header=root
        / tables.text("codegen", "secrets_header", f"{firmware}/include/secrets.h"),
        cpp_tables=root
        / tables.text(
            "codegen", "cpp_tables", f"{firmware}/lib/evcore/include/evcore/can_tables.hpp"
        ),
        python_tables=root / tables.text("codegen", "python_tables", "can_tables.py"),
    )


def _provision(tables: TomlTables, root: Path) -> Provision:
    table, key = "provision", "sealing_key"
    ledger = tables.text(table, "ledger", LEDGER_FILE)
    if "://" in ledger and re.search(r"://[^/@]*:[^/@]*@|[?&]password=", ledger):
        rule = "a password never stands in this file: leave it out, and name PGPASSFILE"
        tables.problem(table, "ledger", rule)
    value = tables.raw(table, key, None)
    name = value.get("keyring") if isinstance(value, dict) and len(value) == 1 else None
    sealing_key: SecretRef | None
    if isinstance(name, str) and name:
        sealing_key = SecretRef("keyring", name)
    else:
        sealing_key = None if value is None else _secret(tables, root, table, key)
        if sealing_key is not None and sealing_key.kind == "generate":
            rule = "is made with `evtool provision secrets new-key`; name where it is kept"
            tables.problem(table, key, rule)
    return Provision(
        ledger=ledger if "://" in ledger else str(root / Path(ledger).expanduser()),
        sealing_key=sealing_key,
    )


def _optional_path(tables: TomlTables, root: Path, table: str, key: str) -> Path | None:
    text = tables.optional_text(table, key)
    return None if text is None else root / Path(text).expanduser()


def _private_key(tables: TomlTables, root: Path, table: str, key: str) -> SecretRef | None:
    """Where a private key is, if there is one: it has several lines, and nobody thinks it up."""
    if tables.raw(table, key, None) is None:
        return None
    ref = _secret(tables, root, table, key)
    if ref.kind in ("prompt", "generate"):
        rule = 'is a private key, PEM: { file = "path" } or { env = "NAME" }'
        tables.problem(table, key, rule)
    return ref


def _secret(tables: TomlTables, root: Path, table: str, key: str) -> SecretRef:
    """`{ env = "NAME" }`, `{ file = "path" }`, `{ prompt = true }` or `{ generate = true }`."""
    value = tables.raw(table, key)
    rule = (
        'must be a reference: { env = "NAME" }, { file = "path" }, { prompt = true } '
        "or { generate = true }; a secret itself never stands in this file"
    )
    if not isinstance(value, dict) or len(value) != 1:
        if value is not None:
            tables.problem(table, key, rule)
        return SecretRef("prompt")
    (kind, name), *_ = value.items()
    if kind == "env" and isinstance(name, str) and _ENVIRONMENT_NAME.match(name):
        return SecretRef("env", name)
    if kind == "file" and isinstance(name, str) and name:
        return SecretRef("file", str(root / Path(name).expanduser()))
    if kind in ("prompt", "generate") and name is True:
        return SecretRef(kind)
    tables.problem(table, key, rule)
    return SecretRef("prompt")
