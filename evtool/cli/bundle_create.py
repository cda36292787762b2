# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool bundle create`: from a computer that has built the project."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import open_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evtool.build.bundle import Content
    from evtool.build.offline import Requirement
    from evtool.project import Project

_PIP_TIMEOUT_S = 1800.0


@click.command("create", epilog=EXIT_CODES)
@click.option(
    "--env",
    "environment",
    type=click.Choice(["esp32dev", "esp32dev_lab"]),
    default="esp32dev",
    show_default=True,
    help="Whose packages to take; the two need the same.",
)
@project_option
@click.option(
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The bundle (default: evtool-ENV-SYSTEM.bundle here); it is a .tar.xz.",
)
@click.option(
    "--wheels",
    "wheels_folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="Take the Python wheels from DIR instead of asking pip.",
)
@click.option("--no-wheels", is_flag=True, help="Leave evtool and its Python packages out.")
@click.option("--dry-run", is_flag=True, help="Only say what would be packed.")
@json_option
def command(
    environment: str,
    project_path: Path | None,
    output_path: Path | None,
    wheels_folder: Path | None,
    no_wheels: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Pack everything that a build for the ESP32 needs into one file.

    Platform, toolchain, framework, tools and libraries as PlatformIO has them installed here,
    and evtool with its Python packages as wheels, all with SHA-256, version, owner and licence.
    This computer must have built the project: nothing is fetched but the wheels, by pip.

    Only the named packages are packed, and of those no secrets.h, .env, keys or tokens. The
    same packages give the same file, byte for byte.
    """
    if no_wheels and wheels_folder is not None:
        raise click.UsageError("--wheels and --no-wheels contradict each other")
    project = open_project(project_path)
    needed = _needed(project, environment)
    output = Output(as_json)
    with contextlib.ExitStack() as stack:
        folder = wheels_folder
        if folder is None and not no_wheels and not dry_run:
            folder = stack.enter_context(_fetched_wheels(output))
        content = _content(needed, environment, folder)
        path = output_path or Path(_file_name(content))
        if dry_run:
            _say_plan(output, content, path)
            return
        _write(output, content, path.absolute())


def _needed(project: Project, environment: str) -> tuple[Requirement, ...]:
    """What the build needs, with nothing missing; from an installed bundle where it uses one."""
    from evtool.build import offline
    from evtool.build.bundle import storage_of
    from evtool.cli.bundle_place import chosen_bundle
    from evtool.errors import ConfigError

    bundle = chosen_bundle(project)
    storage = None if bundle is None else storage_of(bundle)
    needed = offline.requirements(project.build.firmware, environment, storage)
    lacking = offline.missing(needed)
    if lacking:
        rows = "".join(f"\n    {requirement}" for requirement in lacking)
        raise ConfigError(
            f"this computer lacks what a bundle for {environment} must hold:{rows}",
            fix=f"with a network, build once: evtool build --env {environment}",
        )
    return needed


@contextlib.contextmanager
def _fetched_wheels(output: Output) -> Iterator[Path]:
    from evtool.build.wheels import check_argv, constraints, fetch_argv

    with tempfile.TemporaryDirectory(prefix="evtool-wheels-") as name:
        folder = Path(name) / "wheels"
        folder.mkdir()
        versions = Path(name) / "constraints.txt"
        versions.write_text(constraints(), encoding="utf-8")
        output.say("fetching the Python packages with pip")
        output.event("wheels")
        _pip(fetch_argv(folder, versions), "could not fetch the wheels")
        _pip(check_argv(folder), "the wheels are not enough to install evtool")
        yield folder


def _pip(argv: list[str], what: str) -> None:
    from evtool.errors import ToolError
    from evtool.link.command import CommandRunner

    result = CommandRunner().run(argv, timeout_s=_PIP_TIMEOUT_S)
    if result.return_code != 0:
        raise ToolError(
            f"pip {what}",
            argv=argv,
            return_code=result.return_code,
            output=result.output,
            fix="see pip's lines above; with --wheels DIR name wheels that you have, with "
            "--no-wheels leave them out",
        )


def _content(
    needed: tuple[Requirement, ...], environment: str, wheels_folder: Path | None
) -> Content:
    import platformio

    from evtool import __version__
    from evtool.build import bundle, wheels

    return bundle.collect(
        needed,
        environment,
        evtool=__version__,
        platformio=platformio.__version__,
        wheels=() if wheels_folder is None else wheels.read_wheels(wheels_folder),
        python=wheels.python_version(),
    )


def _file_name(content: Content) -> str:
    manifest = content.manifest
    return f"evtool-{manifest.environment}-{manifest.system or 'any'}.bundle"


def _say_plan(output: Output, content: Content, path: Path) -> None:
    from evtool.cli.bundle_progress import package_lines

    size = sum(source.stat().st_size for source in content.sources.values())
    packages = content.manifest.packages
    text = [
        f"{path}: {len(content.manifest.entries)} files, {size / 1e6:,.1f} MB before compression",
        *package_lines(packages),
        *(f"  left out: {name}" for name in content.left_out),
    ]
    document: dict[str, object] = {
        "file": str(path),
        "bytes": size,
        "packages": [asdict(package) for package in packages],
        "left_out": list(content.left_out),
    }
    output.result("\n".join(text), document)


def _write(output: Output, content: Content, path: Path) -> None:
    from evtool.cli.bundle_progress import BundleProgress, manifest_document, package_lines
    from evtool.link.bundle_archive import hash_files, write_archive
    from evtool.protocol.bundle_manifest import bundle_id

    progress = BundleProgress(output, 0)
    progress.stage("hash")
    try:
        entries = hash_files(content.manifest.entries, content.sources, progress.add)
        manifest = replace(content.manifest, entries=entries)
        progress.finish()
        progress = BundleProgress(output, manifest.size)
        progress.stage("pack")
        identifier = bundle_id(write_archive(path, manifest, content.sources, progress.add))
    finally:
        progress.finish()
    size = path.stat().st_size
    text = [
        f"{path}: {identifier}, {len(entries)} files, {size / 1e6:,.1f} MB",
        *package_lines(manifest.packages),
    ]
    document = manifest_document(manifest, identifier)
    extra = {"event": "created", "file": str(path), "left_out": list(content.left_out)}
    output.result("\n".join(text), document | extra)
