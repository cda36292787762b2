# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision security new-key`: a key that signs firmware."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("new-key", epilog=EXIT_CODES)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Make a key of 3072 bits that signs firmware, in FILE, mode 0600.

    Whoever has it can sign for every unit that trusts it, and without it nobody can: keep copies of
    it where neither can happen. A file that is there is never overwritten.
    """
    from evtool.link.signing_key import write_new_signing_key

    output = Output(as_json)
    output.say("making a key of 3072 bits")
    digest = write_new_signing_key(file).hex()
    output.result(
        f"{file}: a new signing key\n  its digest, which units trust: {digest}",
        {"event": "new_key", "file": str(file), "digest": digest},
    )
