# SPDX-License-Identifier: GPL-3.0-or-later
"""Espressif's esp-coredump as a program: a whole core dump's report, by way of gdb."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evtool.errors import ToolError
from evtool.link.command import CommandRunner
from evtool.link.private_folder import private_folder

_TIMEOUT_S = 300.0


def full_report(image: bytes, elf: Path, chip: str, gdb: Path) -> str:
    """What `esp_coredump info_corefile` prints of `image`.

    Raises:
        ToolError: it failed.
    """
    # A dump holds the stacks of all tasks: it lies in a folder that only we can enter.
    with private_folder() as folder:
        path = folder / "core.bin"
        path.touch(0o600)
        path.write_bytes(image)
        argv = [
            *(sys.executable, "-P", "-m", "esp_coredump", "--chip", chip, "info_corefile"),
            *("--core", str(path), "--core-format", "raw", "--gdb", str(gdb), str(elf)),
        ]
        environment = os.environ | {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"}
        done = CommandRunner().run(argv, env=environment, timeout_s=_TIMEOUT_S)
    if done.return_code != 0:
        raise ToolError(
            "esp-coredump failed",
            argv=argv,
            return_code=done.return_code,
            output=done.output,
            fix="the report without --full needs no gdb",
        )
    return done.output
