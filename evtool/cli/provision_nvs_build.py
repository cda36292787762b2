# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs build`: a CSV file becomes the image of an NVS partition."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.nvs_place import keys_option
from evtool.cli.output import EXIT_CODES, Output, json_option

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("build", epilog=EXIT_CODES)
@click.argument("csv_path", type=_FILE, metavar="CSV")
@click.argument("out", type=_FILE)
@click.option("--size", required=True, help="The partition's: 24576, 0x6000 or 24K.")
@click.option(
    "--read-only", is_flag=True, help="The partition is flagged readonly: keep no page blank."
)
@keys_option
@click.option(
    "--generate-keys",
    "new_keys_path",
    type=_FILE,
    metavar="FILE",
    help="Encrypt with new keys and write them here; never over a file.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@json_option
def command(
    csv_path: Path,
    out: Path,
    size: str,
    keys_path: Path | None,
    new_keys_path: Path | None,
    as_json: bool,
    **flags: bool,
) -> None:
    """Make the image of an NVS partition from a CSV file (docs/nvs.md).

    The CSV has the columns key,type,encoding,value of Espressif's generator, and the image is
    the one that it makes. What that one takes in silence is refused: every bad row is named
    in one run, with line, column and rule, and nothing is written.

    With --keys or --generate-keys the image is encrypted (XTS-AES-256).
    """
    import hashlib

    from evtool.errors import ConfigError
    from evtool.link.files import write_atomically
    from evtool.link.nvs_files import (
        keys_are_there,
        new_keys,
        read_keys,
        read_limited,
        read_whole,
        write_new_keys,
    )
    from evtool.provision.nvs_build import build_from_csv
    from evtool.provision.nvs_size import parse_nvs_size

    output = Output(as_json)
    read_only, dry_run = flags["read_only"], flags["dry_run"]
    if keys_path is not None and new_keys_path is not None:
        raise click.UsageError("--keys and --generate-keys exclude one another")
    if new_keys_path is not None and (new_keys_path.exists() or new_keys_path.is_symlink()):
        raise keys_are_there(new_keys_path)
    _keep_inputs(out, csv_path, keys_path, new_keys_path)
    try:
        partition_size = parse_nvs_size(size, read_only=read_only)
    except ValueError as error:
        raise ConfigError(
            f"--size: {error}", fix="give the size that the partition has in partitions.csv"
        ) from None
    keys = read_keys(keys_path) if keys_path is not None else None
    if new_keys_path is not None:
        keys = new_keys()
    built = build_from_csv(
        str(csv_path),
        read_whole(csv_path, "the CSV file"),
        partition_size,
        read_file=lambda name: read_limited(Path(name), 2 * 1024 * 1024),
        keys=keys,
        read_only=read_only,
    )
    if not dry_run:
        if new_keys_path is not None and keys is not None:
            write_new_keys(new_keys_path, keys)  # first: no image without its keys
        write_atomically(out, built.image, 0o600)
    namespaces = list(dict.fromkeys(entry.namespace for entry in built.entries))
    kind = "encrypted" if keys is not None else "plain"
    document: dict[str, object] = {
        "event": "plan" if dry_run else "built",
        "image": str(out),
        "size": partition_size,
        "encrypted": keys is not None,
        "keys_file": None if new_keys_path is None else str(new_keys_path),
        "namespaces": namespaces,
        "entries": len(built.entries),
        # Encrypted with keys that nobody keeps, it would be of no use.
        "sha256": None if dry_run and new_keys_path else hashlib.sha256(built.image).hexdigest(),
    }
    verb = "would hold" if dry_run else "holds"
    text = (
        f"{out} {verb} {len(built.entries)} keys in {', '.join(namespaces)}: "
        f"{partition_size:#x} bytes, {kind}"
    )
    if new_keys_path is not None and not dry_run:
        text += f"\n  keys in {new_keys_path}: flash it to nvs_keys with flash encryption"
    output.result(text, document)


def _keep_inputs(out: Path, *inputs: Path | None) -> None:
    """ConfigError where the image would take the place of what it is made from."""
    from evtool.errors import ConfigError

    for path in inputs:
        if path is not None and path.resolve() == out.resolve():
            raise ConfigError(
                f"{out} is named twice: the image would replace it", fix="give it another name"
            )
