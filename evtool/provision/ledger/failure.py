# SPDX-License-Identifier: GPL-3.0-or-later
"""What a record `failed` says of an error, whichever command met it."""

from __future__ import annotations

from evtool.errors import EvtoolError

_CAUSES = {1: "check", 2: "config", 3: "device", 4: "tool", 130: "stopped"}


def failure_fields(step: str, error: EvtoolError) -> dict[str, object]:
    """Its fields: the step, the class of the error's exit code, and the message's first line."""
    return {
        "step": step,
        "cause": _CAUSES.get(error.exit_code, "check"),
        "error": type(error).__name__,
        "reason": error.message.partition("\n")[0].removesuffix("; it said:"),
    }
