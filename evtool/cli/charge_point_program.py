# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point --program`: firmware with MicroOcpp, vehicle and power module."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from evtool.cli.charge_point_host import NO_MICROOCPP, ChargePointHost, Unit
from evtool.cli.charge_point_identity import Product, identity_lines
from evtool.cli.charge_point_serving import Given, serve, tell
from evtool.cli.output import Output
from evtool.errors import ConfigError
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.link.clock import monotonic_ms
from evtool.protocol.ocpp16 import ERROR_CODES
from evtool.virtual.bench import Bench
from evtool.virtual.bench_faults import clear, provoke
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

_PASSED_ON = ("EVTOOL_OCPP_LOG", "ASAN_OPTIONS", "UBSAN_OPTIONS")
_COMMANDS = (
    "plug_in 1",
    "plug_out 1",
    "swipe ID_TAG",
    "ws_off",
    "ws_on",
    "error 1 CODE",
    "clear 1",
    "pause 1",
    "resume 1",
    "status",
    "quit",
)
_CONNECTOR = "1"


def run(
    given: Given,
    program_path: Path,
    product: Product,
    presets: Mapping[str, str],
    environ: Mapping[str, str],
) -> None:
    """Run it until `quit`.

    Raises:
        ConfigError: an argument or option that is wrong, by its name.
        EvtoolError: the program cannot be run, or has ended.
    """
    if given.connectors != 1:
        raise ConfigError(
            f"--connectors {given.connectors}: this hardware has one connector, number 1",
            fix="leave the option out, or say --connectors 1",
        )
    lines = identity_lines(
        given.url, given.identity, given.key_file, given.key_env, given.ca_certificate, product
    )
    environment = {name: environ[name] for name in _PASSED_ON if name in environ}
    unit = Unit(_read_program(program_path), lines, environment, presets)
    storage = ChargePointStorage(given.storage_folder)
    try:
        asyncio.run(_serve(unit, storage, given))
    finally:
        storage.close()


def _read_program(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"--program {path}: {error.strerror or error}", fix=f"{NO_MICROOCPP.fix}"
        ) from error


async def _serve(unit: Unit, storage: ChargePointStorage, given: Given) -> None:
    output = Output(given.as_json)

    def report(event: str, fields: dict[str, object]) -> None:
        if event == "runs":
            output.event(
                "ready",
                charge_point=given.identity,
                url=given.url,
                by=f"microocpp {fields['version']}",
                connectors=1,
                plugged=host.bench.vehicle.plugged,
            )
            output.say(f"charge point {given.identity} ready; type {', '.join(_COMMANDS)}")
            return
        tell(output, event, fields)

    host = ChargePointHost(unit, storage, _bench(storage.vehicle()), given.ca_certificate, report)
    await serve(host, lambda name, words: _obey(host, name, words), output)


def _obey(host: ChargePointHost, name: str, words: list[str]) -> str | None:
    """Carry out one command of stdin but `status`; what is wrong with it, or None."""
    match name, words:
        case "swipe", [id_tag] if _is_id_tag(id_tag):
            host.tell(f"card {id_tag}")
        case "swipe", [id_tag]:
            return f"{id_tag!r} is no id_tag: 1 to 20 characters ! to ~"
        case "ws_off" | "ws_on", []:
            host.set_network(name == "ws_on")
        case "plug_in" | "plug_out" | "pause" | "resume" | "clear", [number]:
            return _wrong_connector(number) or _move(host, name)
        case "error", [number, code]:
            return _wrong_connector(number) or _error(host, code)
        case _:
            return "the commands are: " + ", ".join(_COMMANDS)
    return None


def _is_id_tag(text: str) -> bool:
    return 1 <= len(text) <= 20 and all("!" <= character <= "~" for character in text)


def _wrong_connector(number: str) -> str | None:
    if number == _CONNECTOR:
        return None
    return f"connector {number}: this hardware has one connector, number 1"


def _move(host: ChargePointHost, name: str) -> str | None:
    vehicle = host.bench.vehicle
    match name:
        case "plug_in":
            vehicle.plug_in()
        case "plug_out":
            vehicle.plug_out()
        case "pause" | "resume":
            vehicle.switch_on = name == "resume"
        case "clear":
            for line in clear(host.bench):
                host.tell(line)
    return None


def _error(host: ChargePointHost, code: str) -> str | None:
    if code not in ERROR_CODES - {"NoError"}:
        return f"{code!r} is no error code of OCPP 1.6 (ChargePointErrorCode)"
    line = provoke(host.bench, code)
    if line is not None:
        host.tell(line)
    return None


def _bench(kept: dict[str, int]) -> Bench:
    """The vehicle as it was left, at a module that is off."""

    vehicle = Vehicle(soc_permille=min(max(kept.get("soc_permille", 550), 0), 1000))
    vehicle.plugged = bool(kept.get("plugged", 0))
    vehicle.switch_on = bool(kept.get("switch_on", 1))
    return Bench(vehicle, PowerModule(), bms_bus=0, now_ms=monotonic_ms())
