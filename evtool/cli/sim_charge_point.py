# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point`: a whole charge point as one process, for whoever tests a CSMS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.cli.charge_point_host import ChargePointHost, Unit
    from evtool.link.charge_point_storage import ChargePointStorage
    from evtool.virtual.bench import Bench

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


@click.command("charge-point", epilog=EXIT_CODES)
@click.argument("url")
@click.argument("identity")
@click.option(
    "--storage",
    "storage_folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="What the unit keeps without power; made if missing. Start it again on the same one "
    "after a kill, and that was a power cycle.",
)
@click.option(
    "--program",
    "program_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The firmware for this computer with MicroOcpp in it (build/host/program).",
)
@click.option("--connectors", default=1, show_default=True, help="This hardware has one.")
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="AuthorizationKey: the first line of this file, which only its owner may read.",
)
@click.option("--key-env", metavar="NAME", help="AuthorizationKey: this environment variable.")
@click.option(
    "--ca-certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    help="For wss: PEM of the authority that the CSMS's certificate must come from.",
)
@click.option("--vendor", default="evtool", show_default=True, help="As BootNotification says it.")
@click.option("--model", default="sim charge-point", show_default=True, help="The same.")
@click.option("--serial", default="1", show_default=True, help="The same.")
@click.option(
    "--configuration",
    "configuration_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML, one flat table: OCPP's keys and the values that a new storage starts with.",
)
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument per option, passed by name
    url: str,
    identity: str,
    storage_folder: Path,
    program_path: Path | None,
    connectors: int,
    key_file: Path | None,
    key_env: str | None,
    ca_certificate: Path | None,
    vendor: str,
    model: str,
    serial: str,
    configuration_path: Path | None,
    as_json: bool,
) -> None:
    """Run a charge point: firmware with MicroOcpp, vehicle and power module in one process.

    It connects to URL/IDENTITY. With a key it says it by HTTP Basic. A kill is a power cut:
    started again on the same --storage it finds its transaction, its register and the plug
    as they were.

    \b
    Commands on stdin (1 is the connector):
      plug_in 1, plug_out 1   the plug
      swipe ID_TAG            a card: begins a transaction, and the same card ends it
      ws_off, ws_on           the network is away; it is back
      error 1 CODE, clear 1   cause for an OCPP error code; take it away
      pause 1, resume 1       the vehicle's switch off and on (SuspendedEV)
      status                  controller, vehicle and module
      quit                    stop
    """
    import asyncio
    import os

    from evtool.cli.charge_point_host import Unit
    from evtool.cli.charge_point_identity import Product, identity_lines
    from evtool.cli.charge_point_presets import read_presets
    from evtool.errors import ConfigError
    from evtool.link.charge_point_storage import ChargePointStorage

    if connectors != 1:
        raise ConfigError(
            f"--connectors {connectors}: this hardware has one connector, number 1",
            fix="leave the option out, or say --connectors 1",
        )
    product = Product(vendor, model, serial)
    lines = identity_lines(url, identity, key_file, key_env, ca_certificate, product)
    program = _read_program(program_path)
    presets = read_presets(configuration_path)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    storage = ChargePointStorage(storage_folder)
    try:
        asyncio.run(
            _serve(
                Unit(program, lines, environment, presets),
                storage,
                ca_certificate,
                (url, identity, as_json),
            )
        )
    finally:
        storage.close()


def _read_program(path: Path | None) -> bytes:
    from evtool.cli.charge_point_host import NO_MICROOCPP
    from evtool.errors import ConfigError

    if path is None:
        raise ConfigError(
            "no program to run: --program is missing",
            fix=f"{NO_MICROOCPP.fix}",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"--program {path}: {error.strerror or error}", fix=f"{NO_MICROOCPP.fix}"
        ) from error


async def _serve(
    unit: Unit,
    storage: ChargePointStorage,
    ca_certificate: Path | None,
    said: tuple[str, str, bool],
) -> None:
    import asyncio

    from evtool.cli.charge_point_host import ChargePointHost
    from evtool.cli.sim_input import serve_commands

    url, identity, as_json = said
    output = Output(as_json)

    def report(event: str, fields: dict[str, object]) -> None:
        if event == "runs":
            by = f"microocpp {fields['version']}"
            plugged = host.bench.vehicle.plugged
            output.event(
                "ready", charge_point=identity, url=url, by=by, connectors=1, plugged=plugged
            )
            output.say(f"charge point {identity} ready; type {', '.join(_COMMANDS)}")
            return
        output.event(event, **fields)
        if event == "preset" and fields["status"] != "Accepted":
            output.say(f"configuration {fields['key']}: {fields['status']}")
        if event in ("status", "transaction", "websocket", "restarted"):
            words = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
            output.say(f"{event} {words}".strip())

    bench = _bench(storage.vehicle())
    host = ChargePointHost(unit, storage, bench, ca_certificate, report)

    async def handle(name: str, rest: str) -> None:
        command_line = f"{name} {rest}".strip()
        problem = _obey(host, name, rest.split(), output)
        if problem is not None:
            output.event("refused", command=command_line, reason=problem)
            output.say(f"{command_line}: {problem}")
        elif name != "status":
            output.event("done", command=command_line)

    serving = asyncio.ensure_future(serve_commands(handle))
    try:
        await asyncio.sleep(0)  # it takes over SIGTERM: whoever reads `ready` may send it
        host.start()
        await asyncio.wait({serving, host.failed}, return_when=asyncio.FIRST_COMPLETED)
        if host.failed.done():
            host.failed.result()
        await serving
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await host.close()


def _obey(host: ChargePointHost, name: str, words: list[str], output: Output) -> str | None:
    """Carry out one command of stdin; what is wrong with it, or None."""
    match name, words:
        case "swipe", [id_tag] if _is_id_tag(id_tag):
            host.tell(f"card {id_tag}")
        case "swipe", [id_tag]:
            return f"{id_tag!r} is no id_tag: 1 to 20 characters ! to ~"
        case "ws_off" | "ws_on", []:
            host.set_network(name == "ws_on")
        case "status", []:
            status = host.status()
            output.event("state", **status)
            output.say("\n".join(f"  {key}: {value}" for key, value in status.items()))
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
    from evtool.virtual.bench_faults import clear

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
    from evtool.protocol.ocpp16 import ERROR_CODES
    from evtool.virtual.bench_faults import provoke

    if code not in ERROR_CODES - {"NoError"}:
        return f"{code!r} is no error code of OCPP 1.6 (ChargePointErrorCode)"
    line = provoke(host.bench, code)
    if line is not None:
        host.tell(line)
    return None


def _bench(kept: dict[str, int]) -> Bench:
    """The vehicle as it was left, at a module that is off."""
    from evtool.link.clock import monotonic_ms
    from evtool.virtual.bench import Bench
    from evtool.virtual.power_module import PowerModule
    from evtool.virtual.vehicle import Vehicle

    vehicle = Vehicle(soc_permille=min(max(kept.get("soc_permille", 550), 0), 1000))
    vehicle.plugged = bool(kept.get("plugged", 0))
    vehicle.switch_on = bool(kept.get("switch_on", 1))
    return Bench(vehicle, PowerModule(), bms_bus=0, now_ms=monotonic_ms())
