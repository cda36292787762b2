# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs set`: one key of an image changed, all the rest left as it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from evtool.cli.nvs_place import (
    KeyFile,
    board_option,
    image_place,
    keys_option,
    optional_keys,
)
from evtool.cli.output import EXIT_CODES, Output, json_option


# What is no option may be the value: a private key as PEM begins with hyphens.
@click.command("set", epilog=EXIT_CODES, context_settings={"ignore_unknown_options": True})
@click.argument("image")
@click.argument("namespace")
@click.argument("key")
@click.argument("encoding", metavar="TYPE")
@click.argument("rest", nargs=-1, metavar="")  # to be refused without being repeated
@click.option("--value-stdin", is_flag=True, help="The value: what stands on stdin.")
@click.option(
    "--value-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The value: a file's content, byte for byte.",
)
@click.option("--value-env", metavar="NAME", help="The value: an environment variable.")
@keys_option
@board_option
@click.option("--create", is_flag=True, help="The key may be a new one.")
@click.option("--change-type", is_flag=True, help="The key may have had another type.")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@json_option
def command(
    image: str,
    namespace: str,
    key: str,
    encoding: str,
    keys: KeyFile | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Change one key of an NVS image, and nothing else.

    TYPE is u8 to i64, string, hex2bin, base64 or binary. The value comes from stdin (without
    the end of its last line), a file or a variable, never from an argument. The image is
    replaced as a whole, or stays as it was; a damaged one is refused. With --serial-port the
    partition is read from the board, written, and read back.
    """
    from evtool.errors import ConfigError
    from evtool.provision.nvs_inspect import NvsChange, change_image
    from evtool.provision.nvs_value import kind_of, read_value

    output = Output(as_json)
    value_file, value_env = options["value_file"], options["value_env"]
    if options["rest"]:
        raise click.UsageError(
            "more than IMAGE NAMESPACE KEY TYPE and the options that --help names; the value is "
            "never an argument, which every user of this computer could read: give --value-stdin, "
            "--value-file or --value-env"
        )
    dry_run = options["dry_run"]
    if sum((options["value_stdin"], value_file is not None, value_env is not None)) != 1:
        raise click.UsageError("give one of --value-stdin, --value-file and --value-env")
    try:
        kind = kind_of(encoding)
    except ValueError as error:
        raise ConfigError(f"TYPE: {error}", fix="use one of these") from None
    data = _value(value_file, value_env, is_binary=encoding == "binary")
    try:
        value = read_value(encoding, data, from_file=value_file is not None)
    except ValueError as error:
        raise ConfigError(f"{namespace}.{key}: the value: {error}", fix="give another") from None
    place = image_place(output, image, options["serial_port"])
    old = place.read()
    change = NvsChange(
        namespace,
        key,
        kind,
        value,
        create=options["create"],
        change_kind=options["change_type"],
    )
    new = change_image(place.name, old, optional_keys(keys), change)
    is_changed = new != old
    if is_changed and not dry_run:
        place.write(new)
    said = "would be changed" if dry_run else "is changed"
    output.result(
        f"{image}: {change.name} {said if is_changed else 'has this value already'}",
        {
            "event": "plan" if dry_run else "set",
            "image": image,
            "namespace": namespace,
            "key": key,
            "type": kind,
            "changed": is_changed,
        },
    )


def _value(file: Path | None, variable: str | None, *, is_binary: bool) -> bytes:
    from evtool.errors import SecretMissing
    from evtool.link.nvs_files import read_whole
    from evtool.link.secret_source import shown_variable

    limit = 2 * 1024 * 1024
    if file is not None:
        return read_whole(file, "the value's file", limit)
    if variable is not None:
        text = os.environ.get(variable)
        if text is None:
            raise SecretMissing(
                f"environment variable {shown_variable(variable)} is not set",
                fix="set it; --value-env is its name alone",
            )
        return os.fsencode(text)
    if sys.stdin.isatty():
        typed: str = click.prompt("value", hide_input=True, err=True)
        return typed.encode()
    data = sys.stdin.buffer.read(limit)
    if is_binary:
        return data
    return data.removesuffix(b"\n").removesuffix(b"\r")
