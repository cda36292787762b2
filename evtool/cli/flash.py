# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool flash`: a build's images onto a board or a whole rack, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from evtool.cli.flash_options import collect, station_options
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.cli.flash_options import StationOptions
    from evtool.flash.image_plan import FlashPlan
    from evtool.flash.write import Flashed
    from evtool.project import Project
    from evtool.protocol.board_flash import FlashPart
    from evtool.provision.identity import Identity

_INCOMPLETE = "the board's flash is incomplete; run the same command again to mend it"
_NOT_RECORDED = "the board is flashed, but not in the ledger; run the same command again"
_NOT_COMPARED = "all is written; the comparison was not finished"


@click.command("flash", epilog=EXIT_CODES)
@click.option(
    "--serial-port",
    "serial_ports",
    multiple=True,
    metavar="PORT",
    help="A board's serial port, such as /dev/ttyUSB0; several are flashed at once.",
)
@project_option
@click.option(
    "--manifest",
    "manifest_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The build's manifest.json (default: build/ENV/manifest.json of the project).",
)
@click.option("--env", "environment", metavar="ENV", help="Which build (default: the project's).")
@click.option(
    "--baudrate",
    type=click.IntRange(9600, 4_000_000),
    default=460_800,
    show_default=True,
    help="Speed of the data; the last attempt is made at 115200.",
)
@click.option(
    "--with-evcfg/--no-evcfg",
    "evcfg",
    default=None,
    help="Write the project's identity too (default: if it is complete).",
)
@click.option("--no-verify", is_flag=True, help="Leave out the comparison after the write.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, open no port.")
@station_options
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    serial_ports: tuple[str, ...],
    project_path: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    baudrate: int,
    evcfg: bool | None,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
    **station: Any,
) -> int:
    """Write the firmware to a board and verify it; or to many boards at once.

    Boot loader, partition table and firmware as `evtool build` left them, blank OTA data, so
    that this firmware is the one that boots, and the identity where the project has one. All
    of it is checked against the partition table before the port is opened; a chip of another
    family is refused.

    With several ports, --match, --watch or any option after --dry-run, it is a station: every
    board in a thread of its own, only what differs is written, every region is proved by its
    hash, and a board that fails is tried again without holding up the others. The identity is
    then left as it is on the boards, unless there is one port and --with-evcfg.

    With --json one line for each step and percent, the last one being the result.
    """
    options = collect(station)
    output = Output(as_json)
    if options.given or len(serial_ports) != 1:
        _check_station(options, serial_ports, evcfg, no_verify=no_verify)
        sources = (project_path, manifest_path, environment)
        return _station(output, options, serial_ports, sources, evcfg, baudrate, dry_run)
    (serial_port,) = serial_ports
    import dataclasses
    from contextlib import ExitStack

    from evtool.cli.board_access import Aftermath, open_board, telling
    from evtool.cli.flash_identity import (
        NvsKeysThere,
        SerialDrawn,
        board_without_nvs_keys,
        unit_entry,
    )
    from evtool.flash.write import write_plan
    from evtool.link.clock import monotonic_ms
    from evtool.protocol.ledger_record import ClaimTaken

    work = _plan(output, project_path, manifest_path, environment, evcfg)
    plan = work.plan
    if dry_run:
        _show_plan(output, plan, serial_port)
        return 0
    board = open_board(output, serial_port, plan.chip, baudrate)
    progress = _Progress(output)
    with ExitStack() as stack:
        unit = None
        if work.unit is not None:
            unit = stack.enter_context(unit_entry(output, work.unit))
            try:
                unit.claim(board_without_nvs_keys(board, plan.partitions))
            except (ClaimTaken, NvsKeysThere, SerialDrawn) as taken:
                if evcfg:
                    raise
                output.say(f"note: the identity is left as it is on the board: {taken.message}")
                output.event("evcfg_left_out", reason=taken.message)
                rest = tuple(part for part in plan.parts if part is not work.unit[2])
                plan, unit = dataclasses.replace(plan, parts=rest), None
        with telling(output, progress.aftermath):
            flashed = write_plan(
                plan,
                board,
                verify=not no_verify,
                now_ms=monotonic_ms,
                on_step=progress.step,
                on_progress=progress.percent,
            )
        if unit is not None:
            with telling(output, Aftermath(_NOT_RECORDED, _NOT_RECORDED)):
                unit.written(flashed.chip)
    _show_result(output, plan, serial_port, flashed)
    return 0


def _check_station(
    options: StationOptions, serial_ports: tuple[str, ...], evcfg: bool | None, *, no_verify: bool
) -> None:
    """Refuse what makes no sense together."""
    problem = None
    ports = bool(serial_ports or options.match)
    if not ports and not options.watch and options.retry_failed is None:
        problem = "which board? Give --serial-port, --match, --watch or --retry-failed"
    elif options.retry_failed is not None and (ports or options.watch):
        problem = "--retry-failed takes the ports from its report"
    elif options.count is not None and not options.watch:
        problem = "--count is for --watch"
    elif no_verify:
        problem = "a station proves what it writes: --no-verify is for a single board"
    elif evcfg and (len(serial_ports) != 1 or options.match or options.watch):
        problem = "an identity belongs to one board: --with-evcfg is for a single --serial-port"
    elif not options.image and (options.chip or options.build_id):
        problem = "--chip and --build-id are for --image; a build says both itself"
    if problem is not None:
        raise click.UsageError(problem)


def _station(
    output: Output,
    options: StationOptions,
    serial_ports: tuple[str, ...],
    sources: tuple[Path | None, Path | None, str | None],
    evcfg: bool | None,
    baudrate: int,
    dry_run: bool,
) -> int:
    import dataclasses

    from evtool.cli.board_access import Aftermath, open_board, telling
    from evtool.cli.flash_identity import board_without_nvs_keys, unit_entry
    from evtool.cli.flash_order import image_order
    from evtool.cli.flash_station import run_station
    from evtool.flash.station.order import Order, order_of_plan
    from evtool.protocol.board_flash import ANY_CHIP

    work = None
    if options.image:
        if any(sources) or evcfg:
            raise click.UsageError("--image excludes --manifest, --env, --project, --with-evcfg")
        order = image_order(options)
    elif options.identify and not any(sources):
        # Who is there is no question of what would be written: any chip, and no project is needed.
        order = Order(ANY_CHIP, 0, (), "", "who is there")
        options = dataclasses.replace(options, allow_secured=True)
    else:
        work = _plan(output, *sources, bool(evcfg))
        order = order_of_plan(work.plan)
    if work is None or work.unit is None or options.identify or dry_run:
        code, _ = run_station(output, options, order, serial_ports, baudrate, dry_run=dry_run)
        return code
    board = open_board(output, serial_ports[0], order.chip, baudrate)
    board_without_nvs_keys(board, work.plan.partitions)
    with unit_entry(output, work.unit) as unit:
        code, results = run_station(
            output, options, order, serial_ports, baudrate,
            dry_run=False, admit=lambda facts: unit.claim(facts.chip),
        )  # fmt: skip
        with telling(output, Aftermath(_NOT_RECORDED, _NOT_RECORDED)):
            for result in results:
                if result.verdict.good and result.facts is not None:
                    unit.written(result.facts.chip)
    return code


class _Work(NamedTuple):
    """What to write, and whose identity is in it."""

    plan: FlashPlan
    unit: tuple[Project, Identity, FlashPart] | None


def _plan(
    output: Output,
    project_path: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    evcfg: bool | None,
) -> _Work:
    from evtool.cli.options import open_project
    from evtool.errors import ConfigError
    from evtool.flash.image_plan import parse_manifest, plan_flash

    if manifest_path is not None and environment is not None:
        raise click.UsageError("--manifest and --env exclude each other")
    project = None
    if manifest_path is None or evcfg or project_path is not None:
        project = open_project(project_path)
        environment = environment or project.build.environment
        manifest_path = manifest_path or project.root / "build" / environment / "manifest.json"
    text = _read(manifest_path)
    if text is None:
        wanted = f" --env {environment}" if environment else ""
        raise ConfigError(
            f"{manifest_path}: no such file", fix=f"build first: `evtool build{wanted}`"
        )
    manifest = parse_manifest(text.decode("utf-8", "replace"), manifest_path)
    plan = plan_flash(manifest, _read)
    if project is None or evcfg is False:
        return _Work(plan, None)
    return _with_identity(output, plan, project, manifest_path, wanted=bool(evcfg))


def _with_identity(
    output: Output, plan: FlashPlan, project: Project, manifest_path: Path, *, wanted: bool
) -> _Work:
    from evtool.cli.board_access import identity_part
    from evtool.errors import SecretMissing
    from evtool.flash.image_plan import with_part

    try:
        part, identity = identity_part(project, plan.partitions, str(manifest_path), ask=wanted)
    except SecretMissing as error:
        if wanted:
            raise
        output.say(f"note: the identity is left as it is on the board: {error.message}")
        output.event("evcfg_left_out", reason=error.message)
        return _Work(plan, None)
    return _Work(with_part(plan, part), (project, identity, part))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class _Progress:
    """Percent on one line of a terminal, JSON lines, or a line for each part in a log."""

    def __init__(self, output: Output) -> None:
        import sys

        from evtool.cli.board_access import Aftermath

        self._output = output
        self._in_place = not output.as_json and sys.stderr.isatty()
        self.aftermath = Aftermath()

    def step(self, step: str) -> None:
        """`write` or `verify` begins."""
        self.aftermath.stopped = _INCOMPLETE if step == "write" else _NOT_COMPARED
        self.aftermath.failed = ""
        self._output.say({"write": "writing", "verify": "verifying"}[step])
        self._output.event(step)

    def percent(self, part: FlashPart, percent: int) -> None:
        """A part is written so far."""
        self.aftermath.failed = _INCOMPLETE
        self._output.event("progress", image=part.name, offset=part.offset, percent=percent)
        if self._in_place:
            click.echo(f"\r  {part.name:<16} {percent:3} %", nl=percent == 100, err=True)
        elif percent == 100:
            self._output.say(f"  {part.name:<16} written")


def _describe(plan: FlashPlan, serial_port: str) -> dict[str, object]:
    return {
        "serial_port": serial_port,
        "chip": plan.chip,
        "environment": plan.environment,
        "version": plan.version,
        "build_id": plan.build_id,
        "images": [
            {
                "name": part.name,
                "offset": part.offset,
                "size": len(part.data),
                "sha256": part.sha256,
            }
            for part in plan.parts
        ],
    }


def _table(plan: FlashPlan) -> list[str]:
    return [f"  {part.offset:#010x} {len(part.data):>9}  {part.name}" for part in plan.parts]


def _show_plan(output: Output, plan: FlashPlan, serial_port: str) -> None:
    lines = [
        f"would write to {serial_port} ({plan.chip}), "
        f"version {plan.version} build {plan.build_id} of {plan.environment}:",
        *_table(plan),
    ]
    output.result("\n".join(lines), {"event": "plan"} | _describe(plan, serial_port))


def _show_result(output: Output, plan: FlashPlan, serial_port: str, flashed: Flashed) -> None:
    seconds = sum(flashed.times_ms.values()) / 1000
    text = (
        f"{serial_port}: {flashed.chip.description} {flashed.chip.mac} holds version "
        f"{plan.version} build {plan.build_id} ({plan.total_bytes:,} bytes"
        f"{', verified' if flashed.verified else ''}, {seconds:.1f} s)"
    )
    document = (
        {"event": "flashed"}
        | _describe(plan, serial_port)
        | {
            "mac": flashed.chip.mac,
            "description": flashed.chip.description,
            "verified": flashed.verified,
            "times_ms": flashed.times_ms,
        }
    )
    output.result(text, document)
