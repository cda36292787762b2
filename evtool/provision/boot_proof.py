# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a board started, runs a build, carries an identity and reached its CSMS.

All of it is the board's own word at its console: the boot line, then `[event] ocpp
state=connected` (docs/serial-console.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from evtool.errors import CheckFailed, LinkTimeout
from evtool.protocol.console import BOOT, LineSplitter, Record, boot_fields, parse_line

_READ_S = 0.25
_KEPT_LINES = 8


class ReadableConsole(Protocol):
    """A board's console, for reading."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or b"" when nothing does in time."""


class BootConsole(ReadableConsole, Protocol):
    """A board's console; `evtool.link.serial_line.SerialLine` is one."""

    def __enter__(self) -> BootConsole:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""


class ConsoleLines:
    """The lines of a console, with what was heard last for messages.

    Args:
        console: of a board that was just restarted.
        now_ms: a clock that only goes forward.
        mask: hides secrets that a board may say.
    """

    def __init__(
        self,
        console: ReadableConsole,
        now_ms: Callable[[], int],
        mask: Callable[[str], str] = lambda line: line,
    ) -> None:
        self._console = console
        self._now_ms = now_ms
        self._mask = mask
        self._splitter = LineSplitter()
        self._lines: deque[str] = deque()
        self._heard: deque[str] = deque(maxlen=_KEPT_LINES)

    def within(self, timeout_ms: int) -> Iterator[str]:
        """Each line until the time is over; the next call goes on with the line after."""
        deadline = self._now_ms() + timeout_ms
        while True:
            while self._lines:
                line = self._lines.popleft()
                self._heard.append(self._mask(line))
                yield line
            left_ms = deadline - self._now_ms()
            if left_ms <= 0:
                return
            self._lines.extend(
                self._splitter.feed(self._console.read(min(_READ_S, left_ms / 1000)))
            )

    def masked(self, text: str) -> str:
        """`text` of a line, for a message."""
        return self._mask(text)

    def said(self) -> str:
        """The last lines, for the end of a message."""
        lines = [f"  | {line[:160]}" for line in self._heard if line]
        return "; it said:\n" + "\n".join(lines) if lines else "; it said nothing"


def wait_for_boot(
    console: ReadableConsole, identity: str, timeout_ms: int, now_ms: Callable[[], int]
) -> dict[str, str]:
    """Read until the board says who it is; as `boot_line`, of a console without secrets."""
    return boot_line(ConsoleLines(console, now_ms), identity, timeout_ms)


def boot_line(
    lines: ConsoleLines, identity: str, timeout_ms: int, build_id: str = ""
) -> dict[str, str]:
    """Read until the board says who it is.

    Args:
        lines: from its restart on.
        identity: what it must say.
        timeout_ms: how long it may take.
        build_id: the build that it must say; "" takes any.

    Returns:
        the boot line's words: version, build, charge_point, reset.

    Raises:
        CheckFailed: it says another identity, or none, or another build.
        LinkTimeout: no boot line within `timeout_ms`; shows what the board said instead.
    """
    for line in lines.within(timeout_ms):
        fields = boot_fields(line)
        if fields is None:
            continue
        if fields.get("charge_point") != identity:
            raise CheckFailed(
                f"the board started as {lines.masked(fields.get('charge_point', '-'))}, "
                f"not as {identity}",
                fix="is its firmware older than its identity? `evtool flash`, then try again",
            )
        if build_id and fields.get("build") != build_id:
            raise CheckFailed(
                f"the board started build {lines.masked(fields.get('build', '-'))}, not {build_id}",
                fix="are otadata and the firmware's slot among the images?",
            )
        return fields
    raise LinkTimeout(
        f"the board did not say `{BOOT}...` within {timeout_ms / 1000:g} s{lines.said()}",
        fix="press RESET and watch it with `evtool monitor`; allow more with --boot-timeout",
    )


def csms_reached(lines: ConsoleLines, timeout_ms: int) -> None:
    """Read on until the board says that its CSMS has taken it.

    Raises:
        CheckFailed: it says that it does not get there, and never that it did.
        LinkTimeout: it says neither within `timeout_ms`.
    """
    reason = ""
    for line in lines.within(timeout_ms):
        match parse_line(line):
            case Record("event", {"state": "connected"}, "ocpp"):
                return
            case Record("event", {"field": name, "rule": rule}, "identity"):
                raise CheckFailed(
                    "the board refuses its identity, and goes to no CSMS: "
                    f"{lines.masked(f'{name} breaks its rule {rule}')}",
                    fix="is its firmware older than what it was given? Flash it: --with-firmware",
                )
            case Record("event", fields, "csms" | "wifi" as what):
                reason = f"{what} " + " ".join(f"{key}={value}" for key, value in fields.items())
    if reason:
        raise CheckFailed(
            f"the board did not reach its CSMS within {timeout_ms / 1000:g} s; it said: "
            f"{lines.masked(reason)}",
            fix="`evtool ocpp check` tries the same from this computer, step by step",
        )
    raise LinkTimeout(
        f"the board did not say within {timeout_ms / 1000:g} s that it reached its CSMS"
        f"{lines.said()}",
        fix="is its Wi-Fi in reach? Allow more with --csms-timeout",
    )
