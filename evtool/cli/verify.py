# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify`: the firmware against the reference controller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evtool.verify.device_under_test import DeviceUnderTest
    from evtool.verify.scenario import Scenario
    from evtool.verify.verdict import Verdict


@click.command("verify", epilog=EXIT_CODES)
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@project_option
@click.option(
    "--program",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A host program to verify (default: build the project's).",
)
@click.option(
    "--random",
    "random_inputs",
    type=click.IntRange(0, 10_000_000),
    default=5_000,
    show_default=True,
    metavar="N",
    help="Random inputs after the scenarios; 0 for none.",
)
@click.option("--seed", type=click.IntRange(0), help="Repeat the random inputs of an earlier run.")
@click.option("--list", "list_only", is_flag=True, help="List evtool's scenarios and stop.")
@json_option
def command(
    scenarios: tuple[str, ...],
    project_path: Path | None,
    program: Path | None,
    random_inputs: int,
    seed: int | None,
    list_only: bool,
    as_json: bool,
) -> None:
    """Compare the firmware with the reference controller, step by step.

    Each SCENARIO (a name from --list, or a TOML file of your own; all of evtool's by
    default) is played on the Python reference and on the firmware built for this computer.
    CAN frames, console lines, OCPP requests and the whole state must agree at every step;
    the first difference is named with its scenario, time, field and both values.
    """
    from evtool.errors import CheckFailed
    from evtool.verify.report import as_document, explanation, headline

    output = Output(as_json)
    chosen = _choose(scenarios)
    if list_only:
        output.result(
            "\n".join(f"{each.name:32} {each.title}" for each in chosen),
            {"scenarios": [{"name": each.name, "title": each.title} for each in chosen]},
        )
        return
    device = _device(program, project_path, output)
    verdicts = []
    for verdict in _verdicts(chosen, device, random_inputs, seed):
        verdicts.append(verdict)
        output.event("verdict", **as_document(verdict))
        output.say(headline(verdict))
    bad = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in bad:
        output.say("\n" + explanation(verdict))
    steps = sum(verdict.steps for verdict in verdicts)
    summary = f"{len(verdicts)} runs, {steps} steps compared on {device.name}: {len(bad)} differ"
    if not as_json:
        output.result(summary, {})
    output.event("summary", device=device.name, runs=len(verdicts), steps=steps, failed=len(bad))
    if bad:
        first = headline(bad[0]).split(maxsplit=1)[1]
        raise CheckFailed(
            f"the firmware and the reference differ: {' '.join(first.split())}",
            fix="docs/controller.md says which is right; mend the other",
        )


def _choose(names: tuple[str, ...]) -> list[Scenario]:
    from evtool.errors import ConfigError
    from evtool.verify import library_dir
    from evtool.verify.scenario import load_scenario

    if not names:
        return [load_scenario(path) for path in sorted(library_dir().glob("*.toml"))]
    chosen = []
    for name in names:
        path = Path(name) if name.endswith(".toml") else library_dir() / f"{name}.toml"
        if not path.is_file():
            raise ConfigError(
                f"no scenario {name}",
                fix="`evtool verify --list` shows evtool's own; a file's name ends in .toml",
            )
        chosen.append(load_scenario(path))
    return chosen


def _device(program: Path | None, project_path: Path | None, output: Output) -> DeviceUnderTest:
    from evtool.link.line_program import LineProgram
    from evtool.verify.device_under_test import HostProgram

    if program is None:
        from evtool.cli.build import build_host_program

        program = build_host_program(project_path, output)
    return HostProgram(program.absolute(), LineProgram)


def _verdicts(
    chosen: list[Scenario], device: DeviceUnderTest, random_inputs: int, seed: int | None
) -> Iterator[Verdict]:
    import secrets

    from evtool.verify.run import run_random, run_scenario

    for scenario in chosen:
        yield run_scenario(scenario, device)
    if random_inputs:
        yield run_random(secrets.randbelow(2**31) if seed is None else seed, random_inputs, device)
