# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser without a window, for what only a browser can say of a page."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

_LIMIT_S = 200
# In a container the shared memory may be a few megabytes, for all browsers at once.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


def chromium() -> str:
    """The program; skips where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs a browser (Debian: apt-get install chromium)")
    return found


def browse(folder: Path, page: Path, *options: str) -> str:
    """What it prints of a page.

    Its output goes into files below `folder`: what it starts would keep a pipe open.
    """
    program = chromium()
    out, err = folder / "browser.out", folder / "browser.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()],
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, process_group=0,
        )  # fmt: skip
        try:
            code = process.wait(_LIMIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert code == 0, err.read_text(errors="replace")[-2000:]
    return out.read_text(encoding="utf-8")
