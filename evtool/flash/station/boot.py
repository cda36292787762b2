# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a board runs what was written to it: its own boot line, with this build's id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from evtool.errors import CheckFailed
from evtool.protocol.console import LineSplitter, boot_fields

_READ_S = 0.25
_KEPT_LINES = 8


class BootConsole(Protocol):
    """A board's console."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or b"" when nothing does in time."""


@dataclass(frozen=True, slots=True)
class BootProof:
    """What a board must say, and within what time.

    Attributes:
        build_id: the word behind `build=` in its boot line.
    """

    build_id: str
    timeout_ms: int


class NotBooted(CheckFailed):
    """The flash is right, and the board does not say so."""


def wait_for_build(
    console: BootConsole, proof: BootProof, now_ms: Callable[[], int]
) -> dict[str, str]:
    """Read until the board says which build it runs.

    Returns:
        the boot line's words: version, build, charge_point, reset.

    Raises:
        NotBooted: another build, or no boot line in time; shows what the board said instead.
    """
    splitter = LineSplitter()
    heard: list[str] = []
    deadline = now_ms() + proof.timeout_ms
    while (left_ms := deadline - now_ms()) > 0:
        for line in splitter.feed(console.read(min(_READ_S, left_ms / 1000))):
            fields = boot_fields(line)
            if fields is None:
                heard.append(line)
            elif fields.get("build") == proof.build_id:
                return fields
            else:
                raise NotBooted(
                    f"the board started build {fields.get('build', '-')}, not {proof.build_id}",
                    fix="are otadata and the firmware's slot among the images?",
                )
    said = "\n".join(f"  | {line[:160]}" for line in heard[-_KEPT_LINES:] if line)
    raise NotBooted(
        f"the board did not say its build within {proof.timeout_ms / 1000:g} s"
        + (f"; it said:\n{said}" if said else "; it said nothing"),
        fix="watch its start with `evtool monitor`; allow more with --boot-timeout",
    )
