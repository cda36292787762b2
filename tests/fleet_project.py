# SPDX-License-Identifier: GPL-3.0-or-later
"""A project with a fleet's file, a sealing key and a build, and `evtool provision fleet` in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flash_project import make_build, make_project
from planted import forms

EVTOOL = [sys.executable, "-m", "evtool"]
FLEET = [*EVTOOL, "provision", "fleet"]
SEALING_KEY = "c0ffee" * 10 + "c0de"


def make_fleet(root: Path, count: int, rows: Iterable[str] = ()) -> Path:
    """A project in `root`; `rows` are the file's lines behind its head, else `count` of them."""
    path = make_project(root)
    make_build(root / "build" / "host")
    text = path.read_text().replace('{ file = "secrets/key" }', "{ generate = true }")
    path.write_text(text + '\n[provision]\nsealing_key = { file = "secrets/sealing" }\n')
    key = root / "secrets" / "sealing"
    key.write_text(SEALING_KEY + "\n")
    key.chmod(0o600)
    lines = list(rows) or [f"CP-{number},SN-{number}" for number in range(1, count + 1)]
    (root / "fleet.csv").write_text("\n".join(["identity,serial_number", *lines]) + "\n")
    (root / "fleet-template.toml").write_text('shared = ["wifi_passphrase"]\n')
    return root


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """A command of `evtool provision fleet` with --json."""
    return subprocess.Popen(
        [*FLEET, *arguments, "--json"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fleet(*arguments: str, cwd: Path) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines and stderr."""
    with start(*arguments, cwd=cwd) as process:
        out, errors = process.communicate(timeout=110)
    return process.returncode, [json.loads(line) for line in out.splitlines()], errors


def rows_of(*ports: str) -> list[str]:
    """The file, what its rows share, and the ports."""
    words = [word for port in ports for word in ("--serial-port", port)]
    return ["fleet.csv", "--template", "fleet-template.toml", *words]


def places_of(secret: str, texts: dict[str, bytes]) -> list[str]:
    """The names of the texts in which a secret stands in any form."""
    return [
        name
        for name, text in texts.items()
        if any(form in text or form.lower() in text.lower() for form in forms(secret))
    ]


def files_below(*folders: Path) -> dict[str, bytes]:
    """Every file's content by its path."""
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
