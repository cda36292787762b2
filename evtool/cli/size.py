# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool size`: how much flash and RAM each module of the last build takes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from evtool.cli.options import open_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("size", epilog=EXIT_CODES)
@click.option(
    "--env",
    "environment",
    metavar="ENV",
    help="Which build (default: the project's [build] environment).",
)
@project_option
@json_option
def command(environment: str | None, project_path: Path | None, as_json: bool) -> None:
    """Show how much flash and RAM each module of the last build takes.

    Module is a library, `src` for the firmware's own sources, `framework` for the Arduino core,
    or a compiled library of the toolchain (libc, libstdc++). Flash counts what is stored in the
    program, RAM what stands there before anything runs: no heap, no stacks. The sums are those
    of the program; the image around it is larger by headers and padding.
    """
    from evtool.build.sizes import SIZES, decode, summary, table
    from evtool.errors import ConfigError

    project = open_project(project_path)
    chosen = environment or project.build.environment
    file = project.root / "build" / chosen / SIZES
    build = f"evtool build --env {chosen}"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"no sizes of {chosen}: cannot read {file}: {error.strerror or error}",
            fix=f"build it first: {build}",
        ) from error
    sizes = decode(data, file)
    if not sizes.modules:
        raise ConfigError(
            f"the linker wrote no map of {chosen}, so its modules are not known",
            fix="let the linker write one (-Wl,-Map=$BUILD_DIR/firmware.map in build_flags), then "
            f"{build} --clean",
        )
    Output(as_json).result("\n".join([*table(sizes), *summary(sizes, None)]), asdict(sizes))
