# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs diff`: two images, compared key by key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.nvs_place import FilePlace, KeyFile, keys_option, optional_keys
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.protocol.nvs import NvsEntry
    from evtool.provision.nvs_inspect import KeyDifference


@click.command("diff", epilog=EXIT_CODES)
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@keys_option
@click.option(
    "--keys-b",
    "right_keys_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="B is encrypted with other keys than A's.",
)
@click.option("--plain-b", is_flag=True, help="Only A is encrypted.")
@json_option
def command(
    left: str,
    right: str,
    keys: KeyFile | None,
    right_keys_path: Path | None,
    plain_b: bool,
    as_json: bool,
) -> int:
    """Say which keys of two NVS images differ; never their values.

    Where a key stands in the image does not count. Exit code 1: they differ, or one of them
    is damaged.
    """
    from evtool.cli.provision_nvs_read import length_of
    from evtool.provision.nvs_inspect import differences, open_image

    output = Output(as_json)
    if plain_b and right_keys_path is not None:
        raise click.UsageError("--keys-b and --plain-b exclude one another")
    right_keys = (
        None
        if plain_b
        else optional_keys(keys if right_keys_path is None else KeyFile(right_keys_path))
    )
    one = open_image(left, FilePlace(left).read(), optional_keys(keys))
    other = open_image(right, FilePlace(right).read(), right_keys)
    found = differences(one.content, other.content)
    problems = [f"{left}: {problem}" for problem in one.content.problems]
    problems += [f"{right}: {problem}" for problem in other.content.problems]

    def side(entry: NvsEntry | None) -> dict[str, object] | None:
        return None if entry is None else {"type": entry.kind, "bytes": length_of(entry)}

    document: dict[str, object] = {
        "event": "compared",
        "differences": [
            {
                "namespace": each.namespace,
                "key": each.key,
                "change": each.change,
                "a": side(each.left),
                "b": side(each.right),
            }
            for each in found
        ],
        "problems": problems,
    }
    output.result("\n".join(map(_line, found)) or "the same keys and values", document)
    for problem in problems:
        output.say(f"problem: {problem}")
    return 1 if found or problems else 0


_MARKS = {"added": "+", "removed": "-", "type": "~", "value": "~"}


def _line(difference: KeyDifference) -> str:
    sides = [_side(each) for each in (difference.left, difference.right) if each is not None]
    return (
        f"{_MARKS[difference.change]} {difference.namespace}.{difference.key}  "
        f"{' -> '.join(dict.fromkeys(sides))}"
        f"{', another value' if difference.change == 'value' else ''}"
    )


def _side(entry: NvsEntry) -> str:
    from evtool.cli.provision_nvs_read import length_of

    length = length_of(entry)
    return entry.kind if length is None else f"{entry.kind} of {length} bytes"
