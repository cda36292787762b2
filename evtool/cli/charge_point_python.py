# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point` without `--program`: the charge point in Python."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evtool.cli.charge_point_commands import COMMANDS, obey
from evtool.cli.charge_point_identity import Product, check_text, read_endpoint
from evtool.cli.charge_point_reference import ReferenceHost, ReferenceUnit
from evtool.cli.charge_point_serving import Given, serve, tell
from evtool.cli.connector_models import BenchModel, ConnectorModel, PlainModel
from evtool.cli.output import Output
from evtool.errors import ConfigError
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.link.clock import monotonic_ms
from evtool.reference_impl.charge_point import MODES, Settings
from evtool.reference_impl.charge_point.configuration import read_presets
from evtool.reference_impl.charge_point.configuration_keys import BY_LOWER_CASE
from evtool.reference_impl.charge_point.security.certificates import read_revocation_lists
from evtool.virtual.plain_connector import PlainConnector

MAX_CONNECTORS = 100
MAX_FIRMWARE_VERSION, MAX_SERIAL = 50, 25  # OCPP 1.6, BootNotification
_ID_TAG = "LOCAL-1"
_FIXED = "NumberOfConnectors"
_UNITS = "ChargingScheduleAllowedChargingRateUnit"
_MAINS_MV, _MAINS_PHASES = 230_000, 3


@dataclass(frozen=True)
class Kind:
    """What is particular to this charge point.

    Attributes:
        mode: a name of `MODES`.
        is_plain: plain inputs beneath connector 1 too, not the controller on CAN.
        has_lock: the plugs are locked while they are used.
        power_w: what a plain vehicle draws.
        any_host: the central system's certificate may be for another host.
        revocation_lists: of the manufacturer, PEM; "" for none.
        max_current_a: what a plain connector gives, per phase of three at 230 V.
    """

    mode: str = "strict"
    is_plain: bool = False
    has_lock: bool = True
    power_w: int = 360
    max_current_a: float = 48.0
    any_host: bool = False
    revocation_lists: str = field(default="", repr=False)


def read_revoked(path: Path) -> str:
    """What `--revoked` names.

    Raises:
        ConfigError: it cannot be read, or holds no revocation list.
    """
    try:
        text = path.read_text("ascii")
        if read_revocation_lists(text):
            return text
        problem = "no revocation list in it"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {error}"
    raise ConfigError(f"--revoked {path}: {problem}", fix="name a PEM file (BEGIN X509 CRL)")


def run(
    given: Given,
    product: Product,
    presets: Mapping[str, str],
    kind: Kind,
    firmware_version: str,
    charge_box_serial_number: str,
) -> None:
    """Run it until `quit`.

    Raises:
        ConfigError: an argument or option that is wrong, by its name.
        EvtoolError: the storage cannot be used.
    """
    check_connectors(given.connectors)
    if math.isnan(kind.max_current_a):  # which no range of click's refuses
        raise ConfigError("--max-current nan: no number", fix="give the current in A")
    check_text("--firmware-version", firmware_version, MAX_FIRMWARE_VERSION)
    check_text("--charge-box-serial", charge_box_serial_number, MAX_SERIAL)
    endpoint = read_endpoint(
        given.url, given.identity, given.key_file, given.key_env, given.ca_certificate, product
    )
    endpoint = replace(endpoint, any_host=kind.any_host)
    taken, told = sort_presets(presets, given.connectors)
    settings = Settings(
        vendor=product.vendor,
        model=product.model,
        serial_number=product.serial,
        charge_box_serial_number=charge_box_serial_number,
        firmware_version=firmware_version,
        max_current_ma=round(kind.max_current_a * 1000) if kind.is_plain else 300_000,
        voltage_mv=_MAINS_MV if kind.is_plain else 0,
        phases=_MAINS_PHASES if kind.is_plain else 0,
        connectors=given.connectors,
        mode=MODES[kind.mode],
        presets=({_UNITS: "Current,Power"} if kind.is_plain else {}) | taken,
        has_lock=kind.has_lock,
        revocation_lists=kind.revocation_lists,
    )
    storage = ChargePointStorage(given.storage_folder)
    try:
        unit = ReferenceUnit(endpoint, settings)
        asyncio.run(_serve(unit, storage, given, kind, told))
    finally:
        storage.close()


def check_connectors(count: int) -> None:
    """Raises ConfigError where `--connectors` is out of range."""
    if not 1 <= count <= MAX_CONNECTORS:
        raise ConfigError(
            f"--connectors {count}: 1 to {MAX_CONNECTORS}", fix="give a number in that range"
        )


def sort_presets(
    presets: Mapping[str, str], connectors: int
) -> tuple[dict[str, str], dict[str, str]]:
    """The presets that can be set, and the status of each, as ChangeConfiguration names it."""
    taken: dict[str, str] = {}
    statuses = {}
    for name, value in presets.items():
        known = BY_LOWER_CASE.get(name.lower())
        try:
            good = read_presets({name: value})
        except ValueError:
            statuses[name] = "NotSupported" if known is None else "Rejected"
            continue
        if known == _FIXED:
            statuses[name] = "Accepted" if value == str(connectors) else "Rejected"
            continue
        taken |= good
        statuses[name] = "Accepted"
    return taken, statuses


async def _serve(
    unit: ReferenceUnit,
    storage: ChargePointStorage,
    given: Given,
    kind: Kind,
    told: Mapping[str, str],
) -> None:
    output = Output(given.as_json)

    def report(event: str, fields: dict[str, object]) -> None:
        tell(output, event, fields)

    def models() -> dict[int, ConnectorModel]:
        kept = storage.connectors()
        made: dict[int, ConnectorModel] = {}
        for number in range(1, given.connectors + 1):
            if number == 1 and not kind.is_plain:
                made[1] = BenchModel(
                    storage,
                    _ID_TAG,
                    lambda id_tag: host.begin(id_tag, 1),
                    lambda reason: host.end(reason, 1),
                    monotonic_ms(),
                )
                continue
            plain = PlainConnector(
                power_mw=kind.power_w * 1000, max_current_ma=round(kind.max_current_a * 1000)
            )
            plain.take_kept(kept.get(str(number), {}))
            made[number] = PlainModel(plain)
        return made

    host = ReferenceHost(unit, storage, models, report)
    for key, status in told.items():
        report("preset", {"key": key, "status": status})
    plugged = [bool(model.kept()["plugged"]) for model in host.models.values()]
    output.event(
        "ready",
        charge_point=given.identity,
        url=given.url,
        by=f"reference charge point ({kind.mode})",
        connectors=given.connectors,
        plugged=plugged[0],
        plugged_connectors=[number + 1 for number, is_in in enumerate(plugged) if is_in],
    )
    output.say(f"charge point {given.identity} ready; type {', '.join(COMMANDS)}")
    await serve(host, lambda name, words: obey(host, name, words), output)
