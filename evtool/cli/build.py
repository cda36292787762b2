# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool build`: PlatformIO, then the files that `evtool flash` writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import open_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from evtool.build.artifacts import Artifact
    from evtool.build.plan import BuildPlan
    from evtool.build.platformio import Step
    from evtool.project import Project

ENVIRONMENTS = ("host", "host_asan", "esp32dev", "esp32dev_lab")
_PROBE_S = 1.0


@click.command("build", epilog=EXIT_CODES)
@click.option(
    "--env",
    "environment",
    type=click.Choice(ENVIRONMENTS),
    help="What to build (default: the project's [build] environment).",
)
@project_option
@click.option(
    "--microocpp",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="For host: a MicroOcpp checkout, with ArduinoJson in it or beside it.",
)
@click.option("--clean", is_flag=True, help="Make everything again.")
@click.option("--dry-run", is_flag=True, help="Only say what would be run.")
@click.option("--verbose", is_flag=True, help="Show every line that PlatformIO prints.")
@json_option
def command(
    environment: str | None,
    project_path: Path | None,
    microocpp: Path | None,
    clean: bool,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Build the firmware with PlatformIO.

    \b
    host          the firmware as a program for this computer, and as an image for the
                  virtual board; needs g++ and no network
    host_asan     the same program with checks for memory errors and undefined
                  behaviour; no image, which could not hold it
    esp32dev      the product
    esp32dev_lab  the product with everything logged

    The results are bootloader.bin, partition-table.bin, otadata.bin, firmware.bin and
    manifest.json in build/ENV beside evtool.toml; a file that has not changed is left alone.

    The host build keeps what PlatformIO needs in a folder of its own, never in
    ~/.platformio: $EVTOOL_CORE_DIR, else the user's cache folder.
    """
    project = open_project(project_path)
    chosen = environment or project.build.environment
    if microocpp is not None and not chosen.startswith("host"):
        raise click.UsageError("--microocpp is for the host; an ESP32 build fetches MicroOcpp")
    plan = _plan(project, chosen, microocpp, verbose=verbose)
    output = Output(as_json)
    if dry_run:
        description = plan.describe()
        output.result(_plan_text(description), description)
        return
    artifacts, changed = _build(plan, output, clean=clean, verbose=verbose)
    files = [str(plan.output / artifact.name) for artifact in artifacts]
    text = f"{plan.environment} {plan.version}+{plan.build_id} in {plan.output}"
    output.result(
        text + ("" if changed else " (unchanged)"),
        {
            "event": "built",
            "environment": plan.environment,
            "version": plan.version,
            "build_id": plan.build_id,
            "output": str(plan.output),
            "files": files,
            "changed": [str(plan.output / name) for name in changed],
        },
    )


def build_host_program(
    project_path: Path | None, output: Output, environment: str = "host"
) -> Path:
    """The project's firmware as a program for this computer, built if anything has changed.

    Args:
        environment: host, or host_asan.

    Raises:
        ToolError: the compiler or PlatformIO failed.
    """
    plan = _plan(open_project(project_path), environment, None, verbose=False)
    _build(plan, output, clean=False, verbose=False)
    return plan.output / "program"


def _plan(
    project: Project, environment: str, microocpp: Path | None, *, verbose: bool
) -> BuildPlan:
    from evtool import __version__
    from evtool.build.microocpp import find_microocpp
    from evtool.build.plan import plan_build

    folder = microocpp or (project.build.microocpp if environment.startswith("host") else None)
    return plan_build(
        project,
        environment,
        version=__version__,
        core_folder=_core_folder(),
        variables=os.environ,
        microocpp=None if folder is None else find_microocpp(folder),
        verbose=verbose,
    )


def _build(
    plan: BuildPlan, output: Output, *, clean: bool, verbose: bool
) -> tuple[tuple[Artifact, ...], list[str]]:
    """Build and write the results; returns them and the names of those that changed."""
    _check_packages(plan)
    output.event("start", **plan.describe())
    artifacts = _run(plan, output, clean=clean, verbose=verbose)
    return artifacts, _write(plan, artifacts)


def _core_folder() -> Path:
    """Where the host build keeps what PlatformIO needs."""
    named = os.environ.get("EVTOOL_CORE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "evtool" / "platformio"


def _check_packages(plan: BuildPlan) -> None:
    """Fail now where PlatformIO would fail after a minute, and without a name."""
    from evtool.build import offline
    from evtool.link.reachable import any_reachable

    lacking = offline.missing(offline.requirements(plan.firmware, plan.environment))
    if not lacking:
        return
    if plan.for_host or not any_reachable(offline.registry_hosts(), timeout_s=_PROBE_S):
        raise offline.missing_error(plan.environment, lacking)


def _run(
    plan: BuildPlan,
    output: Output,
    *,
    clean: bool,
    verbose: bool,
) -> tuple[Artifact, ...]:
    """Run PlatformIO, and collect what it made before another build may begin."""
    from evtool.build.artifacts import collect
    from evtool.build.platformio import run_build
    from evtool.link.command import CommandRunner
    from evtool.link.workspace import Workspace

    workspace = Workspace(lambda: output.say("another build of this project runs; waiting"))
    progress = _Progress(output, verbose=verbose)
    output.say(f"building {plan.environment}")
    try:
        with workspace.lock(plan.lock) as descriptor:
            run_build(plan, CommandRunner([descriptor]), workspace, progress.follow, clean=clean)
            return collect(plan)
    finally:
        progress.finish()


def _write(plan: BuildPlan, artifacts: tuple[Artifact, ...]) -> list[str]:
    """Write what has changed; the names of those files."""
    from evtool.link.files import write_atomically

    changed = []
    for artifact in artifacts:
        path = plan.output / artifact.name
        if path.is_file() and path.read_bytes() == artifact.data:
            continue
        write_atomically(path, artifact.data, artifact.mode)
        changed.append(artifact.name)
    return changed


def _plan_text(description: dict[str, object]) -> str:
    command_line, variables = description["command"], description["variables"]
    assert isinstance(command_line, list)  # noqa: S101 - for the type checker
    assert isinstance(variables, dict)  # noqa: S101 - for the type checker
    return "\n".join(
        [
            f"in {description['folder']}",
            *(f"  {name}={value}" for name, value in variables.items()),
            "  " + " ".join(command_line),
            f"results in {description['output']}",
        ]
    )


class _Progress:
    """A line that is overwritten on a terminal, JSON lines, or every line with --verbose."""

    def __init__(self, output: Output, *, verbose: bool) -> None:
        self._output = output
        self._show: Callable[[Step], None] = lambda step: None
        self._is_line_open = False
        self._count = 0
        if output.as_json:
            self._show = self._as_event
        elif verbose:
            self._show = lambda step: output.say(step.text)
        elif sys.stderr.isatty():
            self._show = self._as_one_line

    def follow(self, step: Step) -> None:
        """Show one step."""
        self._show(step)

    def finish(self) -> None:
        """Leave the terminal with an empty line to write on."""
        if self._is_line_open:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._is_line_open = False

    def _as_event(self, step: Step) -> None:
        if step.action is not None:
            self._output.event(step.action, file=step.subject)

    def _as_one_line(self, step: Step) -> None:
        if step.action is None or step.subject is None:
            return
        self._count += 1
        name = step.subject.rsplit("/", 1)[-1][:50]
        click.echo(f"\r\x1b[K  {self._count:4d} {step.action} {name}", nl=False, err=True)
        self._is_line_open = True
