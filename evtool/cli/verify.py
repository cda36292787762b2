# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify`: the firmware against the reference controller."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.board_options import BoardOptions, board_options
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.result_file import ResultFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evtool.cli.verify_runs import Runs
    from evtool.project import Project
    from evtool.verify.device_under_test import DeviceUnderTest
    from evtool.verify.scenario import Scenario
    from evtool.verify.verdict import Verdict

DEVICES = ("host", "host-asan", "reference", "board")
_STEPS = 5_000
_FUZZ_STEPS = 200_000
_MAX_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options, by their names in `command`."""

    project_path: Path | None
    device_name: str
    program: Path | None
    fuzz: bool
    steps: int | None
    seed: int | None
    save_to: Path
    jobs: int | None
    replay: Path | None
    bms_channel: str | None
    from_log: Path | None
    save: bool
    ocpp: bool
    replay_ocpp: str
    junit: Path | None
    html: Path | None
    list_only: bool
    board: BoardOptions


@click.command("verify", epilog=EXIT_CODES)
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@project_option
@click.option(
    "--device",
    "device_name",
    type=click.Choice(DEVICES),
    default="host",
    show_default=True,
    help="What is compared with the reference.",
)
@click.option(
    "--program",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A host program to verify (default: build the project's).",
)
@click.option("--fuzz", is_flag=True, help="Random inputs alone, and many of them.")
@click.option(
    "--steps",
    type=click.IntRange(0, 1_000_000_000),
    metavar="N",
    help=f"Random inputs (default: {_FUZZ_STEPS} with --fuzz, {_STEPS} after evtool's scenarios, "
    "none after others); with --ocpp --fuzz, random lives.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, _MAX_SEED),
    help="Repeat the random inputs of an earlier run.",
)
@click.option(
    "--save-to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where what random inputs or a log show is saved as a scenario (default: here).",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes that work beside each other (default: one a core).",
)
@click.option(
    "--replay",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Recorded bus traffic: ASC, BLF, CSV, candump, TRC, ...",
)
@click.option(
    "--bms-channel",
    metavar="NAME",
    help="The log's channel that is the BMS's own bus (default: all channels are one bus).",
)
@click.option(
    "--from-log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A recorded console of a unit: what it saw and did (default device: reference).",
)
@click.option("--save", is_flag=True, help="Keep what a console becomes as scenarios.")
@click.option(
    "--ocpp",
    is_flag=True,
    help="Both sides of the wire: the firmware with MicroOcpp against the reference charge point.",
)
@click.option(
    "--replay-ocpp",
    type=click.Choice(("permitted", "refused", "offline")),
    default="permitted",
    show_default=True,
    help="What OCPP says while a log is replayed.",
)
@click.option(
    "--junit",
    cls=ResultFile,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the verdicts as JUnit XML.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the verdicts and timelines as one HTML page.",
)
@click.option("--list", "list_only", is_flag=True, help="List evtool's scenarios and stop.")
@board_options
@json_option
def command(scenarios: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Compare the firmware with the reference controller, step by step.

    Each SCENARIO (a name from --list, or a TOML file of your own; all of evtool's by
    default) is played on the Python reference and on a device:

    \b
    host       the firmware built for this computer
    host-asan  the same with checks for memory errors and undefined behaviour
    reference  the reference itself: what a scenario expects, without any firmware
    board      a real unit, over its serial console and its CAN bus, in real time

    CAN frames, console lines, OCPP requests and the whole state must agree at every step;
    the first difference is named with its scenario, time, field and both values. One that
    random inputs or a log lead to is shrunk to the lines that matter and saved as a scenario.

    With --ocpp the scenarios are those with both sides of the wire: the firmware's program with
    MicroOcpp and the reference charge point each live through the same script with a vehicle,
    a power module and a central system of their own; transactions, statuses, meter values,
    answers and configuration are compared, within tolerances for times. What MicroOcpp is
    known to do in its own way is named, and no failure. --device reference compares the
    specification with that.

    On a board evtool is the vehicle, the power module and, with --csms-listen, the CSMS; what
    it shows is compared within tolerances. What it cannot be made to do is named as not run.
    """
    output = Output(as_json)
    board = BoardOptions(**{each.name: options.pop(each.name) for each in fields(BoardOptions)})
    wanted = _Wanted(**options, board=board)
    alone = [
        name
        for name, given in (
            ("--fuzz", wanted.fuzz),
            ("--replay", wanted.replay),
            ("--from-log", wanted.from_log),
        )
        if given
    ]
    if alone and (scenarios or len(alone) > 1):
        raise click.UsageError(f"{alone[0]} stands alone; leave the others out")
    if wanted.save and not wanted.from_log:
        raise click.UsageError("--save is for --from-log")
    if wanted.fuzz and wanted.steps == 0:
        raise click.UsageError("--fuzz with --steps 0 verifies nothing; give it some steps")
    if wanted.html is not None and wanted.html == wanted.junit:
        raise click.UsageError("--junit and --html name the same file; give each its own")
    recorded = wanted.replay is not None or wanted.from_log is not None
    if wanted.ocpp and (recorded or wanted.device_name == "board"):
        raise click.UsageError("--ocpp is for scripts on this computer: no --replay, no board")
    chosen = [] if alone else _choose(scenarios, wanted.ocpp)
    if wanted.list_only:
        output.result(
            "\n".join(f"{each.name:32} {each.title}" for each in chosen),
            {"scenarios": [{"name": each.name, "title": each.title} for each in chosen]},
        )
        return
    if wanted.device_name == "board":
        _verify_board(wanted, chosen, output)
        return
    board.require_board()
    if wanted.ocpp:
        _verify_ocpp(wanted, chosen, output)
        return
    if wanted.from_log is not None:
        _verify_log(wanted, wanted.from_log, output)
        return
    steps = wanted.steps
    if steps is None:
        steps = _FUZZ_STEPS if wanted.fuzz else 0 if scenarios or wanted.replay else _STEPS
    device = _device(wanted, output)

    from evtool.cli.verify_runs import Runs
    from evtool.link.worker_pool import usable_cores

    runs = Runs(device, output, wanted.jobs or usable_cores(), wanted.save_to, bool(wanted.html))
    verdicts = []
    for verdict in _verdicts(runs, wanted, chosen, steps):
        verdicts.append(verdict)
        _tell(verdict, output)
    _write_reports(wanted, verdicts, device.name, output)
    _conclude(verdicts, device.name, output)


def _verify_log(wanted: _Wanted, log: Path, output: Output) -> None:
    """Play what a unit's console shows."""
    if wanted.steps or wanted.seed is not None:
        raise click.UsageError("--steps and --seed are for random inputs, not for --from-log")
    from evtool.cli.verify_from_log import LogRuns, tell_not_judged

    source = click.get_current_context().get_parameter_source("device_name")
    if source is click.core.ParameterSource.DEFAULT and wanted.program is None:
        wanted = replace(wanted, device_name="reference")
    device = _device(wanted, output)
    runs = LogRuns(
        device,
        output,
        _unit_configuration(wanted.project_path, output),
        wanted.save_to if wanted.save else None,
        with_timeline=wanted.html is not None,
    )
    verdicts = []
    for verdict in runs.verdicts(log):
        verdicts.append(verdict)
        _tell(verdict, output)
    tell_not_judged(verdicts, output)
    _write_reports(wanted, verdicts, device.name, output)
    _conclude(verdicts, device.name, output, log)


def _verify_ocpp(wanted: _Wanted, chosen: list[Scenario], output: Output) -> None:
    """Play scripts, or random lives, with both sides of the wire."""
    import secrets

    from evtool.cli.verify_ocpp import LIVES, OcppRuns, device_for, reference_for
    from evtool.link.worker_pool import usable_cores

    name, program = wanted.device_name, wanted.program
    if name != "reference" and program is None:
        from evtool.cli.build import build_host_program

        program = build_host_program(wanted.project_path, output, name.replace("-", "_"))
    elif name == "reference" and program is not None:
        raise click.UsageError("--program is for the host; --device reference needs none")
    device = device_for(name, program)
    jobs = wanted.jobs or usable_cores()
    runs = OcppRuns(reference_for(name), device, output, jobs, wanted.save_to)
    verdicts = []
    for verdict in runs.scenarios(chosen):
        verdicts.append(verdict)
        _tell(verdict, output)
    lives = wanted.steps if wanted.steps is not None else LIVES if wanted.fuzz else 0
    if lives:
        seed = secrets.randbelow(_MAX_SEED + 1) if wanted.seed is None else wanted.seed
        verdicts.append(runs.fuzz(seed, lives))
        _tell(verdicts[-1], output)
    if name == "reference":
        _list_departures(verdicts, output)
    _write_reports(wanted, verdicts, device.name, output)
    _conclude(verdicts, device.name, output)


def _list_departures(verdicts: list[Verdict], output: Output) -> None:
    """Each departure once, with where it was met first."""
    met: dict[str, str] = {}
    for verdict in verdicts:
        for each in verdict.wire.explained if verdict.wire is not None else ():
            met.setdefault(each.name, f"{verdict.scenario.name}: {each.title}")
    output.say("departures of the firmware from the specification, with the first of each:")
    for name, first in sorted(met.items()):
        output.say(f"  {name}\n      {first[:160]}")


def _verify_board(wanted: _Wanted, chosen: list[Scenario], output: Output) -> None:
    """Play the scenarios on a board; a link that is lost is told after everything else."""
    for name, given in (
        ("--fuzz", wanted.fuzz),
        ("--replay", wanted.replay),
        ("--program", wanted.program),
        ("--steps", wanted.steps),
        ("--seed", wanted.seed is not None),
    ):
        if given:
            raise click.UsageError(f"{name} is not for --device board, which plays scenarios")
    if wanted.board.serial_port is None:
        raise click.UsageError("--device board needs --serial-port")
    from evtool.cli.verify_board import verify_board

    verdicts: list[Verdict] = []

    def take(verdict: Verdict) -> None:
        verdicts.append(verdict)
        _tell(verdict, output)

    lost = verify_board(
        wanted.board,
        wanted.project_path,
        chosen,
        output,
        with_timeline=wanted.html is not None,
        take=take,
    )
    _write_reports(wanted, verdicts, "board", output)
    if lost is not None:
        raise lost
    _conclude(verdicts, "board", output)


def _write_reports(wanted: _Wanted, verdicts: list[Verdict], device: str, output: Output) -> None:
    from evtool.link.files import write_atomically
    from evtool.verify.html_report import render_html
    from evtool.verify.junit_report import render_junit

    for path, render in ((wanted.junit, render_junit), (wanted.html, render_html)):
        if path is not None:
            write_atomically(path, render(verdicts, device))
            output.say(f"written: {path}")


def _tell(verdict: Verdict, output: Output) -> None:
    from evtool.verify.report import as_document, headline

    output.event("verdict", **as_document(verdict))
    output.say(headline(verdict))


def _conclude(
    verdicts: list[Verdict], device: str, output: Output, log: Path | None = None
) -> None:
    """Explain what differs, and sum up.

    Args:
        log: the console that the verdicts are about; None where they are about no log.

    Raises:
        CheckFailed: something differs, or nothing was run at all.
    """
    from evtool.errors import CheckFailed
    from evtool.verify.report import explanation, headline

    bad = [verdict for verdict in verdicts if verdict.wrong]
    left_out = sum(bool(verdict.not_run) for verdict in verdicts)
    ran = len(verdicts) - left_out
    for verdict in bad:
        output.say("\n" + explanation(verdict))
    steps = sum(verdict.steps for verdict in verdicts)
    summary = f"{ran} runs, {steps} steps compared on {device}: {len(bad)} differ"
    summary += f"; {left_out} not run" if left_out else ""
    if not output.as_json:
        output.result(summary, {})
    counts = {"runs": ran, "steps": steps, "failed": len(bad), "not_run": left_out}
    output.event("summary", device=device, **counts)
    if left_out and not ran:
        raise CheckFailed(
            "nothing was run: there is no proof of anything",
            fix="each scenario's reason stands above",
        )
    if bad:
        first = " ".join(headline(bad[0]).split(maxsplit=1)[1].split())
        if bad[0].at_step is None and log is not None:
            raise CheckFailed(
                f"the unit of {log} did otherwise than the reference: {first}",
                fix="docs/controller.md says which is right; docs/verify.md what a log can show",
            )
        if bad[0].at_step is None and bad[0].failed:
            raise CheckFailed(
                f"the {bad[0].failed[0].who} does not do what the scenario expects: {first}",
                fix="docs/controller.md says which is right; mend the other",
            )
        raise CheckFailed(
            f"the {'board' if device == 'board' else 'firmware'} and the reference differ: {first}",
            fix="docs/controller.md says which is right; mend the other",
        )


def _choose(names: tuple[str, ...], ocpp: bool) -> list[Scenario]:
    from evtool.errors import ConfigError
    from evtool.verify import library_dir, ocpp_library_dir
    from evtool.verify.scenario import load_scenario

    library = ocpp_library_dir() if ocpp else library_dir()
    if not names:
        return [load_scenario(path) for path in sorted(library.glob("*.toml"))]
    chosen = []
    for name in names:
        path = Path(name) if name.endswith(".toml") else library / f"{name}.toml"
        if not path.is_file():
            raise ConfigError(
                f"{name}: no such file" if name.endswith(".toml") else f"no scenario {name}",
                fix="`evtool verify --list` shows evtool's own; a file's name ends in .toml",
            )
        chosen.append(load_scenario(path))
        if (chosen[-1].ocpp is not None) != ocpp:
            raise ConfigError(
                f"{path}: {'has no' if ocpp else 'has a'} table [ocpp]",
                fix="play it "
                + ("without --ocpp" if ocpp else "with --ocpp: it has both sides of the wire"),
            )
    return chosen


def _device(wanted: _Wanted, output: Output) -> DeviceUnderTest:
    from evtool.link.line_program import LineProgram
    from evtool.verify.device_under_test import HostProgram, Reference

    name, program = wanted.device_name, wanted.program
    if name == "reference":
        if program is not None:
            raise click.UsageError("--program is for the host; --device reference needs none")
        return Reference()
    if program is None:
        from evtool.cli.build import build_host_program

        program = build_host_program(wanted.project_path, output, name.replace("-", "_"))
    return HostProgram(program.absolute(), LineProgram, name)


def _verdicts(runs: Runs, wanted: _Wanted, chosen: list[Scenario], steps: int) -> Iterator[Verdict]:
    import secrets

    yield from runs.scenarios(chosen)
    if wanted.replay is not None:
        from evtool.link.can_log import CanLog
        from evtool.verify.replay import Replay

        how = Replay(_configuration(wanted), wanted.bms_channel, wanted.replay_ocpp)
        yield runs.replay(CanLog(wanted.replay), how)
    if steps:
        seed = secrets.randbelow(_MAX_SEED + 1) if wanted.seed is None else wanted.seed
        yield runs.fuzz(seed, steps)


def _configuration(wanted: _Wanted) -> dict[str, str]:
    """The project's choices as the controller's fields; its defaults where there is no project."""
    from evtool.cli.options import open_project

    if wanted.project_path is None and (wanted.program or wanted.device_name == "reference"):
        return {}
    return _project_configuration(open_project(wanted.project_path))


def _unit_configuration(project_path: Path | None, output: Output) -> dict[str, str]:
    """What the unit of a log was configured to, as far as anybody knows."""
    from evtool.cli.options import open_project
    from evtool.errors import ConfigError
    from evtool.project import find_project

    if project_path is None:
        try:
            project_path = find_project(Path.cwd())
        except ConfigError:
            output.say("no evtool.toml here: the unit is taken to have the default configuration")
            return {}
    return _project_configuration(open_project(project_path))


def _project_configuration(project: Project) -> dict[str, str]:
    from dataclasses import asdict

    fields = asdict(project.can) | asdict(project.limits)
    return {name: str(value) for name, value in fields.items() if name != "bitrate"}
