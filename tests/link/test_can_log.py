# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded traffic in python-can's formats, and files that are none or no longer whole."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import can
import pytest

from evtool.errors import ConfigError
from evtool.link import can_log
from evtool.link.can_log import CanLog
from evtool.protocol.can_frame import CanFrame

START_S = 1_700_000_000.0


def messages() -> Iterator[can.Message]:
    for number in range(40):
        yield can.Message(
            timestamp=START_S + number * 0.1,
            arbitration_id=0x1806E5F4 if number % 2 else 0x123,
            is_extended_id=bool(number % 2),
            data=bytes.fromhex("02D0012C00000000"),
            channel=number % 2,
        )
    yield can.Message(timestamp=START_S + 5, is_error_frame=True, channel=0)
    yield can.Message(
        timestamp=START_S + 6, arbitration_id=7, is_fd=True, data=bytes(12), channel=0
    )
    yield can.Message(
        timestamp=START_S + 7, arbitration_id=7, is_remote_frame=True, dlc=3, channel=0
    )


@pytest.mark.parametrize("name", ["x.asc", "x.blf", "x.csv", "x.log", "x.asc.gz", "x.ASC"])
def test_every_format_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with can.Logger(path) as logger:
        for message in messages():
            if name != "x.csv" or not message.is_fd:  # CSV forgets that it was one
                logger(message)
    frames = list(CanLog(path).frames())
    assert [logged.at_ms for logged in frames] == [n * 100 for n in range(40)] + [7000]
    assert frames[1].frame == CanFrame(0x1806E5F4, bytes.fromhex("02D0012C00000000"))
    assert not frames[0].frame.extended
    assert frames[-1].frame.remote
    survey = CanLog(path).survey()
    assert (survey.frames, survey.end_ms) == (41, 7000)
    assert survey.left_out["error frames"] == 1
    assert sum(survey.channels.values()) == 41
    assert len(survey.channels) == (1 if name == "x.csv" else 2)


def test_times_that_go_back_stand_still(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("(5.000000) can0 001#\n(4.000000) can0 002#\n(5.010000) can0 003#\n")
    assert [logged.at_ms for logged in CanLog(path).frames()] == [0, 0, 10]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("x.asc", b"", "holds no classic CAN frame"),
        ("x.txt", b"hello", "unknown log format"),
        ("x", b"hello", "unknown log format"),
        ("x.blf", b"LOGG", "is no BLF file"),
        ("x.blf", bytes(200), "is no BLF file"),
        ("x.log", b"\xff\xfe\x00", "cannot be understood at its beginning"),
        ("x.log", b"(1.0) can0 001#00\n(x) can0 001#00\n", "cannot be understood after 1 messages"),
        ("x.log", b"(1.0) can0 001#00\n(1e300) can0 001#00\n", "message 2: its time, 1e+300 s"),
        ("x.log", b"(1.0) can0 001#00\n(nan) can0 001#00\n", "message 2: its time, nan s"),
        ("x.log", b"(1.0) can0 001##000\n", "only 1 CAN FD frames"),
        ("x.asc.gz", b"no gzip", "cannot be"),
        ("x.db", b"no data base at all, but long enough", "cannot be understood"),
        ("x.csv", b"timestamp\n1,2,3\n", "cannot be understood"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        CanLog(path).survey()
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


def test_a_file_that_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.asc", tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            CanLog(path).survey()


@pytest.mark.parametrize("name", ["log.log", "log.blf", "log.db"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match="is no regular file"):
        CanLog(tmp_path / name).survey()


def test_a_blf_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.blf"
    with can.Logger(path) as logger:
        for message in messages():
            logger(message)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="is cut off"):
        CanLog(path).survey()


def test_a_file_that_python_can_never_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.blf"
    with can.Logger(path) as logger:
        logger(next(messages()))
    endless = struct.pack("<4sHHLL", b"LOBJ", 16, 1, 0, 99) + bytes(32)
    container = struct.pack("<H6xL4x", 0, len(endless)) + endless
    container = struct.pack("<4sHHLL", b"LOBJ", 16, 1, 16 + len(container), 10) + container
    header = bytearray(path.read_bytes()[:144])
    header[16:24] = struct.pack("<Q", len(header) + len(container))
    path.write_bytes(header + container)
    monkeypatch.setattr(can_log, "STUCK_S", 0.2)
    with pytest.raises(ConfigError, match="cannot be read beyond message 0"):
        CanLog(path).survey()


@pytest.mark.parametrize("name", ["x.asc", "x.blf", "x.csv", "x.log", "x.trc", "x.asc.gz"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damaged_files_never_raise_anything_else(tmp_path: Path, name: str) -> None:
    """Python-can leaves files open when it raises; that warning is its own."""
    path = tmp_path / name
    with can.Logger(path) as logger:
        for message in messages():
            if name != "x.trc" or not (message.is_fd or message.is_error_frame):
                logger(message)
    whole = path.read_bytes()
    dice = random.Random(name)  # noqa: S311 - tests must repeat
    for _ in range(25):
        damaged = bytearray(whole)
        for _ in range(dice.choice((1, 4, 40))):
            damaged[dice.randrange(len(damaged))] = dice.choice((0, 255, 45, dice.randrange(256)))
        path.write_bytes(
            damaged[: dice.randrange(len(damaged))] if dice.random() < 0.3 else damaged
        )
        try:
            CanLog(path).survey()
        except ConfigError as error:
            assert str(path) in str(error)  # noqa: PT017 - both ends are good
