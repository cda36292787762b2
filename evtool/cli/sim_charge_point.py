# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point`: a whole charge point as one process, for whoever tests a CSMS."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.load_options import OF_PYTHON, LoadOptions, load_options, refuse_given
from evtool.cli.output import EXIT_CODES, json_option


@click.command("charge-point", epilog=EXIT_CODES)
@click.argument("url")
@click.argument("identity")
@click.option(
    "--storage",
    "storage_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="What the unit keeps without power; made if missing. Start it again on the same one "
    "after a kill, and that was a power cycle.",
)
@click.option(
    "--program",
    "program_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Run the firmware for this computer with MicroOcpp in it (build/host/program), not the "
    "charge point in Python.",
)
@click.option("--connectors", default=1, show_default=True, help="With --program there is one.")
@click.option(
    "--mode",
    type=click.Choice(["strict", "microocpp"]),
    help="The specification to the letter, or as MicroOcpp 1.2.0 departs from it.  [default: "
    "strict]",
)
@click.option(
    "--plain",
    "is_plain",
    is_flag=True,
    help="A plain plug, vehicle and meter beneath connector 1 as well, not the controller with "
    "vehicle and power module on CAN.",
)
@click.option(
    "--power",
    "power_w",
    type=click.IntRange(0, 1_000_000),
    default=360,
    show_default=True,
    help="W that plain ones draw.",
)
@click.option(
    "--max-current",
    "max_current_a",
    type=click.FloatRange(1, 1000),
    default=48.0,
    show_default=True,
    help="A per phase that plain connectors give, of three phases at 230 V.",
)
@click.option("--fixed-cable", is_flag=True, help="No lock: UnlockConnector is NotSupported.")
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
@click.option(
    "--any-host",
    is_flag=True,
    help="For wss, on a bench only: take a certificate of that authority for any host name.",
)
@click.option(
    "--revoked",
    "revoked_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="In Python: PEM of the manufacturer's certificate revocation lists; what they name signs "
    "no firmware (RevokedCertificate).",
)
@click.option("--vendor", default="evtool", show_default=True, help="As BootNotification says it.")
@click.option("--model", default="sim charge-point", show_default=True, help="The same.")
@click.option("--serial", default="1", show_default=True, help="The same.")
@click.option("--charge-box-serial", default="", help="The same; in Python only.")
@click.option("--firmware-version", default="", help="The same; in Python only.")
@click.option(
    "--configuration",
    "configuration_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML or JSON, one flat table: OCPP's keys and the values that a new storage starts "
    "with. In Python read-only keys too, and the environment's EVTOOL_OCPP_<Key>.",
)
@load_options
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument per option, passed by name
    url: str,
    identity: str,
    storage_folder: Path | None,
    program_path: Path | None,
    connectors: int,
    mode: str | None,
    is_plain: bool,
    power_w: int,
    max_current_a: float,
    fixed_cable: bool,
    key_file: Path | None,
    key_env: str | None,
    ca_certificate: Path | None,
    any_host: bool,
    revoked_path: Path | None,
    vendor: str,
    model: str,
    serial: str,
    charge_box_serial: str,
    firmware_version: str,
    configuration_path: Path | None,
    load: LoadOptions | None,
    as_json: bool,
) -> None:
    """Run a charge point: the one in Python, or with --program firmware with MicroOcpp.

    It connects to URL/IDENTITY. With a key it says it by HTTP Basic. A kill is a power cut:
    started again on the same --storage it finds its transactions, its registers and the plugs
    as they were.

    \b
    Commands on stdin (N is a connector, 1 where it is left out):
      plug_in N, plug_out N   the plug
      swipe ID_TAG [N]        a card, at the reader of one connector or of all
      ws_off, ws_on           the network is away; it is back
      error N CODE, clear N   cause for an OCPP error code; take it away
      pause N, resume N       the vehicle's switch off and on (SuspendedEV)
      lock_fail, unlock_fail  the lock does not lock, does not unlock, until `clear`
      meter N WH              the register of a plain connector jumps
      power_loss              the mains fail: transactions end with PowerLoss
      status                  what is known of it
      quit                    stop

    With --count it is a load test instead: so many charge points in Python, on one thread,
    with {n} in IDENTITY as their number. They keep nothing.
    """
    import os

    from evtool.cli.charge_point_identity import Product
    from evtool.cli.charge_point_presets import read_environment, read_presets
    from evtool.cli.charge_point_serving import Given
    from evtool.errors import ConfigError

    if load is not None:
        from evtool.cli.charge_point_identity import check_text
        from evtool.cli.charge_point_python import MAX_FIRMWARE_VERSION, check_connectors
        from evtool.cli.output import Output
        from evtool.cli.sim_load import load_keys, run_load
        from evtool.reference_impl.charge_point import MODES, Settings

        check_connectors(connectors)
        check_text("--vendor", vendor, 20, shortest=1)
        check_text("--model", model, 20, shortest=1)
        check_text("--firmware-version", firmware_version, MAX_FIRMWARE_VERSION)
        everyone = Settings(
            vendor,
            model,
            firmware_version=firmware_version,
            connectors=connectors,
            mode=MODES[mode or "strict"],
            presets=read_presets(configuration_path) | read_environment(os.environ),
            has_lock=not fixed_cable,
        )
        keys = load_keys(load, key_file, key_env)
        run_load(url, identity, load, keys, everyone, ca_certificate, Output(as_json))
        return
    if storage_folder is None:
        raise ConfigError("--storage is missing", fix="name a folder; it is made if missing")
    given = Given(
        url, identity, storage_folder, connectors, key_file, key_env, ca_certificate, as_json
    )
    product = Product(vendor, model, serial)
    presets = read_presets(configuration_path)
    if program_path is not None:
        refuse_given(OF_PYTHON, "is of the charge point in Python", "leave out it or --program")
        from evtool.cli import charge_point_program

        charge_point_program.run(given, program_path, product, presets, os.environ)
        return
    from evtool.cli import charge_point_python

    kind = charge_point_python.Kind(
        mode or "strict",
        is_plain,
        not fixed_cable,
        power_w,
        max_current_a,
        any_host,
        "" if revoked_path is None else charge_point_python.read_revoked(revoked_path),
    )
    charge_point_python.run(
        given,
        product,
        presets | read_environment(os.environ),
        kind,
        firmware_version,
        charge_box_serial,
    )
