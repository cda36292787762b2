# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool bundle install`: on the computer without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.link.bundle_archive import BundleArchive
    from evtool.protocol.bundle_manifest import Manifest

# Above the contents: blocks that are not full, folders, the file system's own.
_ROOM = 1.1


@click.command("install", epilog=EXIT_CODES)
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option(
    "--to",
    "home",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where (default: $EVTOOL_BUNDLE_DIR, [build] bundle, or the user's data folder).",
)
@project_option
@click.option("--dry-run", is_flag=True, help="Check the bundle and say what would be done.")
@json_option
def command(
    file: Path, home: Path | None, project_path: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Install a bundle, after checking it as `evtool bundle verify` does.

    It is unpacked beside the one that is installed and takes its place in one step: whatever
    is interrupted when, the old one counts or the new one, and the next run goes on from
    there. No network, and nothing of ~/.platformio, is used or touched.
    """
    from evtool.cli.bundle_place import bundle_home
    from evtool.cli.bundle_progress import BundleProgress, manifest_document
    from evtool.cli.bundle_verify import check_needs, find
    from evtool.link.bundle_archive import BundleArchive
    from evtool.link.bundle_store import BundleStore

    project = find(project_path)
    store = BundleStore((home or bundle_home(project)).expanduser().absolute())
    output = Output(as_json)
    archive = BundleArchive(file)
    _check_system(archive)
    progress = BundleProgress(output, archive.manifest.size)
    try:
        progress.stage("verify")
        archive.verify(progress.add)
        check_needs(archive.manifest, project)
        is_there = store.current() == store.folder(archive.id)
        if not is_there:
            _check_room(store.home, archive)
        if not dry_run:
            store.install(
                archive,
                progress.add,
                progress.stage,
                lambda: output.say("another installation runs; waiting"),
            )
    finally:
        progress.finish()
    document = manifest_document(archive.manifest, archive.id)
    output.result(
        "\n".join(_text(archive, store.home, dry_run=dry_run, is_there=is_there)),
        document
        | {
            "event": "planned" if dry_run else "installed",
            "home": str(store.home),
            "folder": str(store.folder(archive.id)),
            "was_there": is_there,
        },
    )


def _text(archive: BundleArchive, home: Path, *, dry_run: bool, is_there: bool) -> list[str]:
    state = "would be installed" if dry_run else "is installed"
    lines = [f"bundle {archive.id} {state} in {home}" + (" (was there)" if is_there else "")]
    if not dry_run:
        lines.append(f"  build with it: evtool build --env {archive.manifest.environment}")
        lines += _wheel_lines(archive.manifest, home)
    return lines


def _wheel_lines(manifest: Manifest, home: Path) -> list[str]:
    from evtool.build.wheels import python_version

    if manifest.python is None:
        return []
    wheels = home / "current" / "evtool"
    lines = [f"  evtool's own packages: pip install --no-index --find-links {wheels} evtool"]
    if manifest.python != python_version():
        lines.append(
            f"  note: those are for Python {manifest.python}, and this is {python_version()}"
        )
    return lines


def _check_system(archive: BundleArchive) -> None:
    from evtool.build.bundle import host_system
    from evtool.errors import ConfigError

    wanted, here = archive.manifest.system, host_system()
    if wanted is not None and wanted != here:
        raise ConfigError(
            f"{archive.path} holds a toolchain for {wanted}, and this computer is {here}",
            fix=f"make the bundle on a computer that is {here}",
        )


def _check_room(home: Path, archive: BundleArchive) -> None:
    from evtool.errors import EvtoolError

    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free, needed = shutil.disk_usage(place).free, int(archive.manifest.size * _ROOM)
    if free < needed:
        raise EvtoolError(
            f"{place} has {free / 1e6:,.0f} MB free, and the bundle takes {needed / 1e6:,.0f} MB",
            fix="make room, or name another place with --to DIR",
        )
