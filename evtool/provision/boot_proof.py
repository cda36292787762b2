# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a board started and carries an identity: its own boot line."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from evtool.errors import CheckFailed, LinkTimeout
from evtool.protocol.console import BOOT, LineSplitter, boot_fields

_READ_S = 0.25
_KEPT_LINES = 8


class BootConsole(Protocol):
    """A board's console; `evtool.link.serial_line.SerialLine` is one."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or b"" when nothing does in time."""

    def __enter__(self) -> BootConsole:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""


def wait_for_boot(
    console: BootConsole, identity: str, timeout_ms: int, now_ms: Callable[[], int]
) -> dict[str, str]:
    """Read until the board says who it is.

    Returns:
        the boot line's words: version, build, charge_point, reset.

    Raises:
        CheckFailed: it says another identity, or none.
        LinkTimeout: no boot line within `timeout_ms`; shows what the board said instead.
    """
    splitter = LineSplitter()
    heard: list[str] = []
    deadline = now_ms() + timeout_ms
    while True:
        left_ms = deadline - now_ms()
        if left_ms <= 0:
            break
        for line in splitter.feed(console.read(min(_READ_S, left_ms / 1000))):
            fields = boot_fields(line)
            if fields is None:
                heard.append(line)
                continue
            if fields.get("charge_point") == identity:
                return fields
            raise CheckFailed(
                f"the board started as {fields.get('charge_point', '-')}, not as {identity}",
                fix="is its firmware older than its identity? `evtool flash`, then try again",
            )
    said = "\n".join(f"  | {line[:160]}" for line in heard[-_KEPT_LINES:] if line)
    raise LinkTimeout(
        f"the board did not say `{BOOT}...` within {timeout_ms / 1000:g} s"
        + (f"; it said:\n{said}" if said else "; it said nothing"),
        fix="press RESET and watch it with `evtool monitor`; allow more with --boot-timeout",
    )
