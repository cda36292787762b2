# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs build`: a CSV file becomes the image of an NVS partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.nvs_place import KeyFile, keys_option, optional_keys
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.protocol.nvs_encryption import NvsKeys

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
@click.option(
    "--generate-hmac-key",
    "new_hmac_path",
    type=_FILE,
    metavar="FILE",
    help="The same with a new HMAC key, for a chip that has one in its eFuses.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@json_option
def command(
    csv_path: Path,
    out: Path,
    size: str,
    keys: KeyFile | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make the image of an NVS partition from a CSV file (docs/nvs.md).

    The CSV has the columns key,type,encoding,value of Espressif's generator, and the image is
    the one that it makes. What that one takes in silence is refused: every bad row is named
    in one run, with line, column and rule, and nothing is written.

    With keys the image is encrypted (XTS-AES-256): those of the partition nvs_keys, or the
    HMAC key that a later chip than the first ESP32 has in its eFuses.
    """
    import hashlib

    from evtool.errors import ConfigError
    from evtool.link.files import write_atomically
    from evtool.link.nvs_files import keys_are_there, read_plain_file, read_whole
    from evtool.provision.nvs_build import build_from_csv
    from evtool.provision.nvs_size import parse_nvs_size

    output = Output(as_json)
    read_only, dry_run = options["read_only"], options["dry_run"]
    new_path: Path | None = options["new_keys_path"] or options["new_hmac_path"]
    named = (keys, options["new_keys_path"], options["new_hmac_path"])
    if sum(each is not None for each in named) > 1:
        raise click.UsageError("give one of the options for keys")
    if new_path is not None and (new_path.exists() or new_path.is_symlink()):
        raise keys_are_there(new_path)
    _keep_inputs(out, csv_path, None if keys is None else keys.path, new_path)
    try:
        partition_size = parse_nvs_size(size, read_only=read_only)
    except ValueError as error:
        raise ConfigError(
            f"--size: {error}", fix="give the size that the partition has in partitions.csv"
        ) from None
    new = None if new_path is None else NewKeys.made(is_hmac=options["new_hmac_path"] is not None)
    the_keys = optional_keys(keys) if new is None else new.keys
    built = build_from_csv(
        str(csv_path),
        read_whole(csv_path, "the CSV file"),
        partition_size,
        read_file=lambda name: read_plain_file(Path(name), 2 * 1024 * 1024),
        keys=the_keys,
        read_only=read_only,
    )
    if not dry_run:
        if new is not None and new_path is not None:
            new.write(new_path)  # first: no image without its keys
        write_atomically(out, built.image, 0o600)
    namespaces = list(dict.fromkeys(entry.namespace for entry in built.entries))
    kind = "encrypted" if the_keys is not None else "plain"
    document: dict[str, object] = {
        "event": "plan" if dry_run else "built",
        "image": str(out),
        "size": partition_size,
        "encrypted": the_keys is not None,
        "keys_file": None if new_path is None else str(new_path),
        "namespaces": namespaces,
        "entries": len(built.entries),
        # Encrypted with keys that nobody keeps, it would be of no use.
        "sha256": None if dry_run and new_path else hashlib.sha256(built.image).hexdigest(),
    }
    verb = "would hold" if dry_run else "holds"
    count = len(built.entries)
    text = (
        f"{out} {verb} {count} key{'s' * (count != 1)} in {', '.join(namespaces)}: "
        f"{partition_size:#x} bytes, {kind}"
    )
    if new is not None and not dry_run:
        text += f"\n  keys in {new_path}: {new.use}"
    output.result(text, document)


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Keys that nobody has had before, and the bytes of their file."""

    keys: NvsKeys
    data: bytes = field(repr=False)
    use: str

    @classmethod
    def made(cls, *, is_hmac: bool) -> NewKeys:
        """From the operating system's generator."""
        from evtool.link.nvs_files import new_hmac_key, new_keys
        from evtool.protocol.nvs_encryption import derive_keys, encode_keys

        if is_hmac:
            key = new_hmac_key()
            use = "burn it with `espefuse burn-key BLOCK_KEYn FILE HMAC_UP`"
            return cls(derive_keys(key), key, use)
        keys = new_keys()
        return cls(keys, encode_keys(keys), "flash it to nvs_keys with flash encryption")

    def write(self, path: Path) -> None:
        """Into a new file; ConfigError where there is one already."""
        from evtool.link.nvs_files import write_new_keys

        write_new_keys(path, self.data)


def _keep_inputs(out: Path, *inputs: Path | None) -> None:
    """ConfigError where the image would take the place of what it is made from."""
    from evtool.errors import ConfigError

    for path in inputs:
        if path is not None and path.resolve() == out.resolve():
            raise ConfigError(
                f"{out} is named twice: the image would replace it", fix="give it another name"
            )
