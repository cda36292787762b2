# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs read`: what an image holds, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evtool.cli.nvs_place import (
    KeyFile,
    board_option,
    image_place,
    keys_option,
    optional_keys,
)
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.show_secrets import may_show, show_secrets_option

if TYPE_CHECKING:
    from evtool.protocol.nvs import NvsEntry
    from evtool.provision.nvs_inspect import OpenedImage


@click.command("read", epilog=EXIT_CODES)
@click.argument("image")
@keys_option
@board_option
@show_secrets_option
@json_option
def command(
    image: str,
    keys: KeyFile | None,
    serial_port: str | None,
    show_secrets: bool,
    without_asking: bool,
    as_json: bool,
) -> int:
    """List what an NVS image holds: namespace, key, type and length.

    Pages, states and checksums are checked; what is wrong is named, and the exit code is 1.
    Wrong keys are told from a damaged image.
    """
    from evtool.provision.nvs_inspect import open_image

    output = Output(as_json)
    question = "The values may be keys. Print them on this terminal?"
    show = show_secrets and may_show(question, without_asking=without_asking)
    place = image_place(output, image, serial_port)
    opened = open_image(place.name, place.read(), optional_keys(keys))
    problems = list(opened.content.problems)
    document: dict[str, object] = {
        "event": "read",
        "image": image,
        "size": len(opened.plain),
        "encrypted": keys is not None,
        "pages": [page.state.name.lower() for page in opened.pages],
        "entries": [_described(entry, show) for entry in opened.content.entries],
        "problems": problems,
    }
    output.result(_table(opened, show), document)
    for problem in problems:
        output.say(f"problem: {problem}")
    return 1 if problems else 0


def length_of(entry: NvsEntry) -> int | None:
    """Bytes of a string or blob; None for an integer."""
    if isinstance(entry.value, int):
        return None
    return len(entry.value.encode() if isinstance(entry.value, str) else entry.value)


def _described(entry: NvsEntry, show: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "namespace": entry.namespace,
        "key": entry.key,
        "type": entry.kind,
        "bytes": length_of(entry),
    }
    if show:
        value = entry.value
        document["value"] = value.hex() if isinstance(value, bytes) else value
    return document


def _table(opened: OpenedImage, show: bool) -> str:
    rows = [("NAMESPACE", "KEY", "TYPE", "BYTES", "VALUE")]
    for entry in opened.content.entries:
        length = length_of(entry)
        rows.append(
            (
                entry.namespace,
                entry.key,
                entry.kind,
                "" if length is None else str(length),
                _shown(entry) if show else "********",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    states = ", ".join(page.state.name.lower() for page in opened.pages)
    return "\n".join([*lines, f"{len(opened.content.entries)} keys; pages: {states}"])


def _shown(entry: NvsEntry) -> str:
    """The value on one line; control characters escaped, so that none reaches the terminal."""
    if isinstance(entry.value, bytes):
        return entry.value.hex()
    if isinstance(entry.value, int):
        return str(entry.value)
    return entry.value if entry.value.isprintable() else repr(entry.value)
