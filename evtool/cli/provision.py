# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision`: an identity into a board, and the board's word that it took."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.fleet_options import serial_range_options
from evtool.cli.group import LazyGroup, refuse_options
from evtool.cli.ledger_option import ledger_option
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import sealing_option

if TYPE_CHECKING:
    from evtool.cli.ledger_entry import LedgerEntry
    from evtool.provision.boot_proof import BootConsole
    from evtool.provision.identity import Identity
    from evtool.provision.plan import Provisioned, ProvisionPlan

_INCOMPLETE = "the board may hold half an identity; run the same command again to mend it"
_NOT_RECORDED = "the identity is in the board, but not in the ledger; run the same command again"
_NOT_PROVED = "the identity is written; the board was not waited for"


COMMANDS: dict[str, tuple[str, str]] = {
    "fleet": ("evtool.cli.provision_fleet", "Many units from one file: check, run, status."),
    "ledger": ("evtool.cli.provision_ledger", "The record of all units: check, ask, merge."),
    "labels": ("evtool.cli.provision_labels", "Print labels: text and QR codes."),
    "secrets": ("evtool.cli.provision_secrets", "Sealed secrets: make a key, rotate, export."),
    "security": ("evtool.cli.provision_security", "Encrypt the flash; run signed firmware only."),
    "nvs": ("evtool.cli.provision_nvs", "Make, read, compare and change NVS images."),
}


@click.group(
    "provision",
    cls=LazyGroup,
    lazy=COMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
    epilog=EXIT_CODES,
)
# Required, but not by the commands below it.
@click.option(
    "--serial-port", metavar="PORT", help="The board's serial port, such as /dev/ttyUSB0."
)
@project_option
@click.option("--identity", metavar="ID", help="Another OCPP identity than the project's.")
@click.option("--no-boot-proof", is_flag=True, help="Do not wait for the board to say it.")
@click.option(
    "--boot-timeout",
    type=click.FloatRange(1, 600),
    default=15.0,
    show_default=True,
    metavar="S",
    help="Seconds that the board may take to start and say its identity.",
)
@serial_range_options
@ledger_option
@click.option(
    "--reassign",
    is_flag=True,
    help="Give the board this identity although the ledger says otherwise.",
)
@sealing_option
@click.option(
    "--encrypt", is_flag=True, help="Encrypt evcfg too where the board's flash is not encrypted."
)
@click.option(
    "--replace-nvs-keys",
    is_flag=True,
    help="Write new NVS keys where those in the board cannot be known.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, open no port.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    serial_port: str | None,
    project_path: Path | None,
    identity: str | None,
    no_boot_proof: bool,
    boot_timeout: float,
    serial_range: str | None,
    serial_format: str | None,
    ledger_location: str | None,
    reassign: bool,
    sealing_key: str | None,
    encrypt: bool,
    replace_nvs_keys: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give a board its identity, keys and certificates.

    Everything is checked before the port is opened. Then: read the partition table from the
    board's flash, write the NVS partition evcfg found there, read it back and compare, and
    wait until the board has started and says this identity. Each step is recorded in the
    ledger, without secrets. An identity that the ledger has on another board, or a board that
    has another identity there, is refused before anything is written.

    With --serial-range the serial number is drawn from a range of the ledger, before the port is
    opened. It is the unit's for good: every later command finds it, also without the option.

    Where the board has keys for its NVS, or its flash is encrypted, evcfg is encrypted with them.
    New ones are sealed in the ledger before they are written.

    With --json one line for each step, the last one being the result.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    if serial_port is None:
        raise click.MissingParameter(ctx=context, param_type="option", param_hint="'--serial-port'")
    import dataclasses
    from functools import partial

    from evtool.cli.board_access import open_board
    from evtool.cli.board_keys import LedgerKeys
    from evtool.cli.identity_input import checked_identity
    from evtool.cli.ledger_entry import LedgerEntry, key_claims
    from evtool.cli.ledger_option import looked_ledger, opened_ledger
    from evtool.cli.options import open_project
    from evtool.cli.provision_serial import drawn_project, with_kept_serial
    from evtool.cli.sealing_option import sealing_place
    from evtool.link.nvs_files import new_keys
    from evtool.protocol.board_flash import ANY_CHIP
    from evtool.provision.evcfg import evcfg_entries
    from evtool.provision.plan import Encryption, ProvisionPlan, run_plan

    output = Output(as_json)
    project = open_project(project_path)
    if identity is not None:
        unit = dataclasses.replace(project.charge_point, identity=identity)
        project = dataclasses.replace(project, charge_point=unit)
    if not no_boot_proof:
        _check_console(serial_port)
    draws = (serial_range, serial_format)
    project = drawn_project(project, draws, ledger_location, dry_run=dry_run)
    checked = checked_identity(project)
    for warning in checked.warnings:
        output.say(f"note: {warning}")
    opened = looked_ledger if dry_run else opened_ledger
    with opened(ledger_location, project) as ledger:
        project, checked = with_kept_serial(output, project, checked, ledger)
        plan = ProvisionPlan(
            identity=checked.charge_point.identity,
            entries=tuple(evcfg_entries(checked, project.can, project.limits)),
            boot_timeout_ms=None if no_boot_proof else round(boot_timeout * 1000),
        )
        if dry_run:
            _show_plan(output, plan, checked, serial_port)
            return
        keys = LedgerKeys(ledger, sealing_place(sealing_key, project), project.root)
        encryption = Encryption(keys, new_keys, encrypt, replace_nvs_keys)
        entry = LedgerEntry(output, project, ledger, key_claims(checked), reassign=reassign)
        board = open_board(output, serial_port, ANY_CHIP, 460_800)
        plan = dataclasses.replace(plan, encryption=encryption)
        work = partial(run_plan, plan, board, lambda: _open_console(serial_port))
        done = _provision(output, checked, entry, work)
        _show_result(output, serial_port, checked, done, ledger.where)


def _provision(
    output: Output, checked: Identity, entry: LedgerEntry, work: Callable[..., Provisioned]
) -> Provisioned:
    """Do `work`, a run of a plan that is told to whom it tells what."""
    from evtool.cli.board_access import Aftermath, telling
    from evtool.errors import EvtoolError
    from evtool.link.clock import monotonic_ms

    aftermath = Aftermath()

    def step(name: str) -> None:
        entry.step = name
        if name != "read":
            aftermath.stopped = _NOT_PROVED if name == "boot" else _INCOMPLETE
            aftermath.failed = _INCOMPLETE if name == "write" else ""
        output.say(_STEP_TEXTS[name])
        output.event(name)

    def record(done: Provisioned) -> None:
        aftermath.failed = _NOT_RECORDED
        place = done.partition.offset, done.image_sha256
        entry.written(done.chip, place, checked, encrypted=done.encrypted)
        for note in done.notes:
            output.say(f"note: {note}")
            output.event("note", message=note)
        aftermath.failed = ""

    with telling(output, aftermath):
        try:
            done = work(
                now_ms=monotonic_ms,
                on_step=step,
                on_board=lambda chip: entry.claim(chip.mac),
                on_written=record,
            )
        except EvtoolError as error:
            entry.failed(error)
            raise
        if done.boot is not None:
            entry.proved(done.boot)
    return done


_STEP_TEXTS = {
    "read": "reading the partition table",
    "write": "writing the identity",
    "compare": "reading it back",
    "boot": "waiting for the board to say who it is",
}


def _check_console(serial_port: str) -> None:
    """Before anything is written: the boot proof must be possible at this port."""
    from evtool.errors import ConfigError
    from evtool.link.serial_line import is_url

    if is_url(serial_port):
        raise ConfigError(
            f"--serial-port {serial_port}: the console is read at a device, not at a URL",
            fix="use the board's own port, or leave out the proof with --no-boot-proof",
        )


def _open_console(serial_port: str) -> BootConsole:
    from evtool.link.serial_line import open_serial_line

    line = open_serial_line(serial_port)
    line.reset()  # a boot line that was said before the port was open is lost
    return line


def _describe(identity: Identity, serial_port: str) -> dict[str, object]:
    unit, own = identity.charge_point, identity.client
    return {
        "serial_port": serial_port,
        "identity": unit.identity,
        "vendor": unit.vendor,
        "model": unit.model,
        "serial_number": unit.serial_number,
        "url": identity.full_url,
        "security_profile": identity.security_profile,
        "certificate_sha256": None if own is None else own.fingerprint,
        "certificate_not_after": None if own is None else own.not_after.isoformat(),
        "warnings": list(identity.warnings),
    }


def _show_plan(output: Output, plan: ProvisionPlan, identity: Identity, serial_port: str) -> None:
    keys = [entry.key for entry in plan.entries]
    lines = [
        f"would give the board at {serial_port} the identity {plan.identity}",
        f"  connects to  {identity.full_url}",
        f"  profile      {identity.security_profile}",
        *_own_certificate(identity),
        f"  keys         {', '.join(keys)}",
        f"  steps        {', '.join(plan.steps)}",
    ]
    document = {"event": "plan"} | _describe(identity, serial_port)
    output.result("\n".join(lines), document | {"keys": keys, "steps": list(plan.steps)})


def _own_certificate(identity: Identity) -> list[str]:
    own = identity.client
    if own is None:
        return []
    return [f"  certificate  {own.fingerprint[:16]}, until {own.not_after:%Y-%m-%d}"]


def _show_result(
    output: Output, serial_port: str, identity: Identity, done: Provisioned, ledger: str
) -> None:
    seconds = sum(done.times_ms.values()) / 1000
    proof = "and says so" if done.boot is not None else "not asked to say so"
    text = (
        f"{serial_port}: {done.chip.mac} is {identity.charge_point.identity}, {proof} "
        f"({seconds:.1f} s)\n  connects to {identity.full_url}\n  recorded in {ledger}"
    )
    document = (
        {"event": "provisioned"}
        | _describe(identity, serial_port)
        | {
            "mac": done.chip.mac,
            "chip": done.chip.description,
            "partition": {
                "name": done.partition.name,
                "offset": done.partition.offset,
                "size": done.partition.size,
            },
            "image_sha256": done.image_sha256,
            "encrypted": done.encrypted,
            "boot": done.boot,
            "times_ms": done.times_ms,
            "ledger": ledger,
        }
    )
    output.result(text, document)
