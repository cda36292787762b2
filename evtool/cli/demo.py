# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool demo`: the whole main job on virtual hardware, by evtool's own commands."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("demo", epilog=EXIT_CODES)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Work here and keep everything (default: a temporary folder, removed if all went well).",
)
@click.option(
    "--microocpp",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="MicroOcpp's sources, for the firmware to speak OCPP itself.",
)
@json_option
def command(directory: Path | None, microocpp: Path | None, as_json: bool) -> None:
    """Generate, build, flash, provision, charge, monitor and verify, with no hardware.

    Runs evtool's own commands, one after the other, against a virtual ESP32, vehicle, power
    module, CAN bus and CSMS, and ends with a summary of what was proved. What you see typed
    is what you would type.
    """
    import shutil
    import tempfile

    from evtool.cli.demo_steps import Demo

    output = Output(as_json)
    folder = directory or Path(tempfile.mkdtemp(prefix="evtool-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    keep = directory is not None
    try:
        Demo(folder, microocpp, output).run()
    except Exception:
        keep = True  # somebody will want to see why
        output.event("kept", folder=str(folder))
        output.say(f"\nThe project and every log are in {folder}")
        raise
    finally:  # also after Ctrl-C: the folder holds secrets, if only made-up ones
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
