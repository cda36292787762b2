# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool bundle verify`: a bundle's every byte, and whether it is enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.project import Project
    from evtool.protocol.bundle_manifest import Manifest


@click.command("verify", epilog=EXIT_CODES)
@click.argument(
    "file", required=False, type=click.Path(dir_okay=False, exists=True, path_type=Path)
)
@project_option
@json_option
def command(file: Path | None, project_path: Path | None, as_json: bool) -> None:
    """Check a bundle, or without FILE the one that is installed.

    Every file's SHA-256, size and mode; that nothing leads out of the folder, stands there
    twice or is not in the manifest; that the packages are all that they themselves ask for,
    and, inside of a project, all that its platformio.ini asks for. Changes nothing.
    """
    project = find(project_path)
    output = Output(as_json)
    manifest, identifier, where = (
        _installed(project, output) if file is None else _archive(file, output)
    )
    check_needs(manifest, project)
    _say(output, manifest, identifier, where)


def find(project_path: Path | None) -> Project | None:
    """The project that is named or that we are in; None where there is none."""
    from evtool.errors import ConfigError
    from evtool.project import find_project, load_project

    if project_path is not None:
        return load_project(project_path)
    try:
        path = find_project(Path.cwd())
    except ConfigError:
        return None
    return load_project(path)


def check_needs(manifest: Manifest, project: Project | None) -> None:
    """Whether the bundle's packages are all that is asked for.

    Raises:
        CheckFailed: one is missing; names it.
    """
    from evtool.build.bundle import stated_needs, unmet
    from evtool.errors import CheckFailed

    lacking = [(need, "the bundle itself") for need in unmet(manifest, manifest.needs)]
    if project is not None and (project.build.firmware / "platformio.ini").is_file():
        wanted = stated_needs(project.build.firmware, manifest.environment)
        ini = str(project.build.firmware / "platformio.ini")
        lacking += [(need, ini) for need in unmet(manifest, wanted)]
    if lacking:
        rows = "".join(f"\n    {n.kind} {n.name} {n.wanted}, for {by}" for n, by in lacking)
        raise CheckFailed(
            f"the bundle is not enough to build {manifest.environment}; it lacks:{rows}",
            fix="make a new one where this project has been built: evtool bundle create",
        )


def _archive(file: Path, output: Output) -> tuple[Manifest, str, str]:
    from evtool.cli.bundle_progress import BundleProgress
    from evtool.link.bundle_archive import BundleArchive

    archive = BundleArchive(file)
    progress = BundleProgress(output, archive.manifest.size)
    progress.stage("verify")
    try:
        archive.verify(progress.add)
    finally:
        progress.finish()
    return archive.manifest, archive.id, str(file)


def _installed(project: Project | None, output: Output) -> tuple[Manifest, str, str]:
    from evtool.cli.bundle_place import bundle_home
    from evtool.cli.bundle_progress import BundleProgress
    from evtool.errors import ConfigError
    from evtool.link.bundle_store import BundleStore, read_manifest, verify_installed

    home = bundle_home(project)
    folder = BundleStore(home).current()
    if folder is None:
        raise ConfigError(
            f"no bundle is installed in {home}", fix="name a file, or: evtool bundle install FILE"
        )
    progress = BundleProgress(output, read_manifest(folder).size)
    progress.stage("verify")
    try:
        manifest = verify_installed(folder, progress.add)
    finally:
        progress.finish()
    return manifest, folder.name, str(folder)


def _say(output: Output, manifest: Manifest, identifier: str, where: str) -> None:
    from evtool.cli.bundle_progress import manifest_document, package_lines

    python = f", wheels for Python {manifest.python}" if manifest.python else ", no wheels"
    text = [
        f"{where}: {identifier}, {len(manifest.entries)} files, for {manifest.environment} on "
        f"{manifest.system or 'any computer'}{python}: everything is as its manifest says",
        *package_lines(manifest.packages),
    ]
    document = manifest_document(manifest, identifier) | {"event": "verified", "place": where}
    output.result("\n".join(text), document)
