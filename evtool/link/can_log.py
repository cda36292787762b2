# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded bus traffic, in any format that python-can reads: ASC, BLF, CSV, candump, TRC, ..."""

from __future__ import annotations

import logging
import math
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.errors import ConfigError
from evtool.link.can_bus import frame_of
from evtool.link.processor_alarm import ProcessorAlarm
from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.logged_frame import LoggedFrame

if TYPE_CHECKING:
    import can

MAX_MESSAGES = 20_000_000
STUCK_S = 5.0
_BLF_HEADER_BYTES = 144
_BLF_FILE_SIZE = struct.Struct("<Q")
_LONGEST_S = 10 * 365 * 24 * 3600


@dataclass(slots=True)
class Survey:
    """What a log holds.

    Attributes:
        channels: frames of each channel.
        left_out: what is no classic CAN frame, by its kind.
    """

    frames: int = 0
    end_ms: int = 0
    channels: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class CanLog:
    """One log file; each walk through it opens it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def survey(self) -> Survey:
        """Walk through all of it.

        Raises:
            ConfigError: it cannot be read to its end, or holds no frame.
        """
        survey = Survey()

        def seen() -> int:
            return survey.frames + survey.left_out.total()

        try:
            with _unless_stuck(seen):
                for logged in self._walk(survey.left_out):
                    survey.frames += 1
                    survey.end_ms = logged.at_ms
                    survey.channels[logged.channel] += 1
        except _StuckError as error:
            raise self._broken(f"cannot be read beyond message {seen()}") from error
        if not survey.frames:
            kinds = ", ".join(f"{count} {kind}" for kind, count in survey.left_out.items())
            raise ConfigError(
                f"{self.path}: holds no classic CAN frame" + (f", only {kinds}" if kinds else ""),
                fix="record CAN 2.0 frames; the file's ending must name its format",
            )
        return survey

    def frames(self) -> Iterator[LoggedFrame]:
        """Its classic frames in their order; error frames and CAN FD are left out.

        Raises:
            ConfigError: it cannot be read, or not to its end.
        """
        return self._walk(Counter())

    def _walk(self, left_out: Counter[str]) -> Iterator[LoggedFrame]:
        first_s: float | None = None
        latest_ms = 0
        for number, message in enumerate(self._messages(), 1):
            if number > MAX_MESSAGES:
                raise self._broken(f"holds more than {MAX_MESSAGES:,} messages")
            kind = _kind(message)
            if kind is not None:
                left_out[kind] += 1
                continue
            frame = _frame(message)
            if frame is None:
                left_out["impossible frames"] += 1
                continue
            first_s = message.timestamp if first_s is None else first_s
            since_s = message.timestamp - first_s
            if not math.isfinite(since_s) or abs(since_s) > _LONGEST_S:
                raise self._broken(
                    f"message {number}: its time, {message.timestamp} s, is not within ten years "
                    f"of the first, {first_s} s"
                )
            latest_ms = max(latest_ms, round(since_s * 1000))
            channel = "" if message.channel is None else str(message.channel)
            yield LoggedFrame(latest_ms, channel, frame)

    def _messages(self) -> Iterator[can.Message]:
        import can  # noqa: PLC0415 - half a second of plug-in discovery, only where it is used

        number = 0
        with _quiet_library():
            try:
                self._check_file()
                if self.path.suffix.lower() == ".blf":
                    self._check_blf()
                with can.LogReader(self.path) as reader:
                    for message in reader:
                        yield message
                        number += 1
            except (ConfigError, _StuckError):
                raise
            except OSError as error:
                raise ConfigError(
                    f"{self.path}: cannot be read: {error.strerror or error}",
                    fix="check the name, and that it is a file of yours",
                ) from error
            # A reader lets out whatever its parsing meets: struct.error, IndexError, zlib.error,
            # UnicodeDecodeError, AssertionError, ... None of them is a fault of ours.
            except Exception as error:
                reason = f"{error}" or type(error).__name__
                where = f"after {number} messages" if number else "at its beginning"
                raise self._broken(f"cannot be understood {where}: {reason[:200]}") from error

    def _check_file(self) -> None:
        """A pipe may never end, a device never does."""
        if self.path.exists() and not self.path.is_file():
            raise self._broken("is no regular file")

    def _check_blf(self) -> None:
        """A BLF file says how long it is; python-can takes a shorter one for a whole one."""
        with self.path.open("rb") as stream:
            header = stream.read(_BLF_HEADER_BYTES)
        if not header.startswith(b"LOGG") or len(header) < _BLF_HEADER_BYTES:
            raise self._broken("is no BLF file: its header is not there")
        (said,) = _BLF_FILE_SIZE.unpack_from(header, 16)
        found = self.path.stat().st_size
        if found < said:
            raise self._broken(f"is cut off: {found} of the {said} bytes that its header names")

    def _broken(self, rule: str) -> ConfigError:
        return ConfigError(
            f"{self.path}: {rule}",
            fix="evtool reads what python-can reads: .asc .blf .csv .log (candump) .trc .db, "
            "each also as .gz; record it again, or convert it",
        )


def _frame(message: can.Message) -> CanFrame | None:
    """The message as a frame of ours; None where a field cannot be what it says."""
    try:
        frame = frame_of(message)
    except TypeError:  # a data base holds anything in any column
        return None
    if isinstance(frame, Malformed) or not isinstance(message.timestamp, int | float):
        return None
    return frame


def _kind(message: can.Message) -> str | None:
    """What the message is, where it is no classic frame."""
    if message.is_error_frame:
        return "error frames"
    return "CAN FD frames" if message.is_fd else None


class _StuckError(Exception):
    """The reader computes and computes."""


@contextmanager
def _unless_stuck(seen: Callable[[], int]) -> Iterator[None]:
    """Raise _StuckError where the count stands still for some seconds of computing.

    A BLF object of length 0 sends python-can's reader round for ever.
    """
    last = -1

    def look() -> None:
        nonlocal last
        if seen() == last:
            raise _StuckError
        last = seen()

    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread alone
        return
    with ProcessorAlarm(look, STUCK_S):
        yield


@contextmanager
def _quiet_library() -> Iterator[None]:
    """python-can logs a line for every odd record; a broken file would fill the screen."""
    logger = logging.getLogger("can")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
