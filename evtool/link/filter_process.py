# SPDX-License-Identifier: GPL-3.0-or-later
"""A program as a filter: all its input at once, all its output back."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from evtool.errors import ConfigError, LinkTimeout


@dataclass(frozen=True, slots=True)
class FilterResult:
    """Exit code (negative: the signal that killed it) and both outputs."""

    return_code: int
    stdout: str
    stderr: str


def run_filter(argv: Sequence[str], text: str, timeout_s: float) -> FilterResult:
    """Run `argv` with `text` on its standard input.

    Raises:
        ConfigError: there is no such program, or it cannot be executed.
        LinkTimeout: it did not end within `timeout_s`; it has been killed.
    """
    try:
        done = subprocess.run(
            argv,
            input=text.encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise ConfigError(
            f"cannot run {argv[0]}: {error.strerror or error}",
            fix="build it with `evtool build --env host`, or name it with --program",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LinkTimeout(
            f"{argv[0]} did not finish within {timeout_s:.0f} s",
            fix="it hangs or loops; run it in a debugger with the same lines",
        ) from error
    return FilterResult(
        done.returncode,
        done.stdout.decode("ascii", "backslashreplace"),
        done.stderr.decode("utf-8", "replace"),
    )
