# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool build`: PlatformIO, then the files that `evtool flash` writes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.bundle_place import chosen_bundle, core_folder
from evtool.cli.options import open_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.errors import CheckFailed, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evtool.build.artifacts import Artifact
    from evtool.build.plan import BuildPlan
    from evtool.build.sizes import Sizes
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
    manifest.json in build/ENV beside evtool.toml, with sizes.json and provenance.json (git
    state, versions); a file that has not changed is left alone. Everything that PlatformIO
    printed is in firmware/.pio/ENV.log.

    The host build keeps what PlatformIO needs in a folder of its own, never in
    ~/.platformio: $EVTOOL_CORE_DIR, else the user's cache folder. A build for the ESP32 uses
    the bundle of `evtool bundle install` where there is one, and then no network.
    """
    from evtool.build.sizes import summary, usage

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
    before = _sizes_before(plan)
    artifacts, changed = _build(plan, output, clean=clean, verbose=verbose)
    files = [str(plan.output / artifact.name) for artifact in artifacts]
    text = f"{plan.environment} {plan.version}+{plan.build_id} in {plan.output}"
    sizes = _sizes(artifacts)
    output.result(
        "\n".join(
            [
                text + ("" if changed else " (unchanged)"),
                *([] if sizes is None else summary(sizes, before)),
            ]
        ),
        {
            "event": "built",
            "environment": plan.environment,
            "version": plan.version,
            "build_id": plan.build_id,
            "output": str(plan.output),
            "files": files,
            "changed": [str(plan.output / name) for name in changed],
            "log": str(plan.log),
            "sizes": None if sizes is None else usage(sizes, before),
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
    from evtool.build.plan import Supplies, plan_build

    for_host = environment.startswith("host")
    folder = microocpp or (project.build.microocpp if for_host else None)
    supplies = Supplies(
        core_folder(),
        None if folder is None else find_microocpp(folder),
        None if for_host else chosen_bundle(project),
    )
    return plan_build(
        project,
        environment,
        version=__version__,
        supplies=supplies,
        variables=os.environ,
        verbose=verbose,
    )


def _build(
    plan: BuildPlan, output: Output, *, clean: bool, verbose: bool
) -> tuple[tuple[Artifact, ...], list[str]]:
    """Build and write the results; returns them and the names of those that changed."""
    from evtool.cli.build_provenance import provenance_of

    with _packages_held(plan) as held:
        _check_packages(plan)
        output.event("start", **plan.describe())
        artifacts = _run(plan, output, held, clean=clean, verbose=verbose)
        artifacts = (*artifacts, provenance_of(plan, artifacts))
    return artifacts, _write(plan, artifacts)


@contextlib.contextmanager
def _packages_held(plan: BuildPlan) -> Iterator[list[int]]:
    """Keep the bundle where it is while it is built with; yields what the children must hold."""
    from evtool.link.bundle_store import in_use

    if plan.bundle is None:
        yield []
        return
    with in_use(plan.bundle) as descriptor:
        yield [descriptor]


def _check_packages(plan: BuildPlan) -> None:
    """Fail now where PlatformIO would fail after a minute, and without a name."""
    from evtool.build import offline
    from evtool.build.bundle import storage_of
    from evtool.link.reachable import any_reachable

    storage = None if plan.bundle is None else storage_of(plan.bundle)
    lacking = offline.missing(offline.requirements(plan.firmware, plan.environment, storage))
    if not lacking:
        return
    is_closed = plan.for_host or plan.bundle is not None
    if is_closed or not any_reachable(offline.registry_hosts(), timeout_s=_PROBE_S):
        raise offline.missing_error(plan.environment, lacking, plan.bundle)


def _run(
    plan: BuildPlan, output: Output, held: list[int], *, clean: bool, verbose: bool
) -> tuple[Artifact, ...]:
    """Run PlatformIO, and collect what it made before another build may begin."""
    from evtool.build.artifacts import collect
    from evtool.build.platformio import run_build
    from evtool.cli.build_progress import BuildProgress
    from evtool.link.command import CommandRunner
    from evtool.link.workspace import Workspace

    def on_wait() -> None:
        output.say("another build of this project runs; waiting")
        output.event("waiting", lock=str(plan.lock), timeout_s=plan.timeout_s)

    workspace = Workspace(on_wait)
    progress = BuildProgress(output, verbose=verbose)
    source = "" if plan.bundle is None else f" with the bundle {plan.bundle.name}"
    output.say(f"building {plan.environment}{source}")
    try:
        # No build takes longer than that; what holds the lock then is none, or hangs.
        with workspace.lock(plan.lock, plan.timeout_s) as descriptor:
            runner = CommandRunner([descriptor, *held], guarded=True)
            run_build(plan, runner, workspace, progress, clean=clean)
            try:
                return collect(plan)
            except ToolError as error:
                error.log = plan.log
                raise
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


def _sizes(artifacts: tuple[Artifact, ...]) -> Sizes | None:
    from evtool.build.sizes import SIZES, decode

    data = next((a.data for a in artifacts if a.name == SIZES), None)
    return None if data is None else decode(data, SIZES)


def _sizes_before(plan: BuildPlan) -> Sizes | None:
    """The sizes of the last build; None where there was none, or its file is of no use."""
    from evtool.build.sizes import SIZES, decode

    try:
        return decode((plan.output / SIZES).read_bytes(), SIZES)
    except (OSError, CheckFailed):
        return None


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
