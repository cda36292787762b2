# SPDX-License-Identifier: GPL-3.0-or-later
"""esptool as a program: what it is told, and what its sentences mean."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evtool.errors import (
    ConfigError,
    DeviceError,
    EvtoolError,
    LinkTimeout,
    ToolError,
    TransferFault,
    WrongBoard,
)
from evtool.link.command import CommandResult, CommandTimeout
from evtool.link.esptool import Esptool, Retry, chip_info, write_progress
from evtool.link.esptool_faults import FlashDiffers, SecureDownloadMode
from evtool.protocol.board_flash import ChipInfo, FlashPart, WriteProgress

PORT = "socket://127.0.0.1:1"  # not a device: the port is not looked at first
CONNECTED = """esptool v5.6.0
Connected to ESP32 on /dev/ttyUSB0:
Chip type:          ESP32-D0WD-V3 (revision v3.1)
Features:           Wi-Fi, BT, Dual Core + LP Core, 240MHz
Crystal frequency:  40MHz
MAC:                24:0a:c4:00:00:01
"""
SECRET = FlashPart("evcfg", 0x390000, b"hunter22 and more", secret=True)


class FakeRunner:
    """Plays esptool: one answer for each run."""

    def __init__(self, *answers: tuple[int, str] | BaseException) -> None:
        self.answers = list(answers)
        self.argvs: list[list[str]] = []
        self.modes: list[int] = []
        self.files: list[Path] = []
        self.contents: list[bytes] = []

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        assert timeout_s > 0
        assert cwd is not None
        assert env is not None
        assert not any(name.startswith("ESPTOOL_") for name in env)
        command = [os.fspath(part) for part in argv]
        self.argvs.append(command)
        for file in sorted(cwd.iterdir()):
            self.files.append(file)
            self.modes += [stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(cwd.stat().st_mode)]
            self.contents.append(file.read_bytes())
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        for line in answer[1].splitlines():
            if on_line is not None:
                on_line(line)
        if "read-flash" in command and answer[0] == 0:
            Path(command[-1]).write_bytes(b"\xaa" * int(command[-2], 0))
        return CommandResult(*answer)


def test_a_secret_travels_in_a_private_file_that_is_gone_afterwards() -> None:
    runner = FakeRunner((0, CONNECTED))
    Esptool(runner, PORT).write([SECRET])
    assert runner.contents == [SECRET.data]
    assert runner.modes == [0o600, 0o700]
    assert not any(file.exists() or file.parent.exists() for file in runner.files)
    assert "hunter22" not in " ".join(runner.argvs[0])


def test_the_file_is_gone_when_the_run_is_stopped() -> None:
    runner = FakeRunner(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Esptool(runner, PORT).write([SECRET])
    assert not any(file.exists() for file in runner.files)


def test_reading_gives_the_bytes_and_the_chip() -> None:
    data, chip = Esptool(FakeRunner((0, CONNECTED)), PORT).read(0x8000, 0xC00)
    assert data == b"\xaa" * 0xC00
    assert chip == ChipInfo("esp32", "ESP32-D0WD-V3 (revision v3.1)", "24:0a:c4:00:00:01")


def test_a_chip_with_a_dash_is_named_as_in_a_manifest() -> None:
    assert chip_info("Connected to ESP32-S3 on /dev/ttyACM0:").chip == "esp32s3"


def test_progress_belongs_to_the_part_that_is_written() -> None:
    parts = [FlashPart("a", 0x1000, bytes(0x1000)), FlashPart("b", 0x10000, bytes(0x8000))]
    line = "Writing at 0x00014000 [==============>               ]  50.0% 512/1024 bytes..."
    assert write_progress(line, parts) == WriteProgress(1, 50)
    assert write_progress("Writing at 0x00002000 [===] 100.0% 9/9", parts) == WriteProgress(0, 100)
    assert write_progress("Writing at 0x00fff000 [===] 100.0% 9/9", parts) is None
    assert write_progress("Hash of data verified.", parts) is None


_FATAL = "A fatal error occurred: "


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (_FATAL + "This chip is ESP32-S3, not ESP32. Wrong chip argument?", WrongBoard,
         "the chip is ESP32-S3, the firmware is for ESP32"),
        (_FATAL + "Failed to connect to ESP32: No serial data received.", LinkTimeout,
         "no ESP32 answered"),
        (_FATAL + "Failed to connect to ESP32: Wrong boot mode detected (0x13)!", LinkTimeout,
         "Wrong boot mode"),
        (_FATAL + "Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n"
         "([Errno 13] could not open port /dev/ttyUSB0: [Errno 13] Permission denied: "
         "'/dev/ttyUSB0')", DeviceError, "cannot open /dev/ttyUSB0: Permission denied"),
        (_FATAL + "Failed to set baud rate 4000000. The driver may not support this rate.",
         DeviceError, "cannot do 4000000 baud"),
        (_FATAL + "File 'x' (length 9) at offset 0x00390000 will not fit in 2097152 bytes of "
         "flash. Change the flash_size argument or flashing address.", DeviceError, "smaller"),
        (_FATAL + "Verification failed.", FlashDiffers, "does not hold what was written"),
        (_FATAL + "The 'read-flash' command is not available in Secure Download Mode.",
         SecureDownloadMode, "secure download mode"),
        (_FATAL + "Could not open rfc2217://h:1, the port is busy or doesn't exist.\n"
         "(Could not open port rfc2217://h:1: [Errno -2] Name or service not known)",
         DeviceError, "cannot open rfc2217://h:1: Name or service not known\n"),
        ("Traceback (most recent call last):\nValueError: surprise", ToolError, "surprise"),
    ],
)  # fmt: skip
def test_each_complaint_becomes_an_error_with_its_fix(
    output: str, kind: type[EvtoolError], words: str
) -> None:
    with pytest.raises(EvtoolError) as caught:
        Esptool(FakeRunner((2, output)), PORT).read(0, 4)
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert caught.value.fix or kind is ToolError


_NOISE = (
    "No more data to read from the serial port. This can have many causes, for",
    "MD5 of file does not match data in flash!",
    "Invalid head of packet (0x46): Possible serial noise or corruption.",
    "Failed to start stub flasher. There was no response.",
)


@pytest.mark.parametrize("complaint", _NOISE)
def test_after_a_serial_fault_the_whole_call_is_made_again_and_slower(complaint: str) -> None:
    runner = FakeRunner((2, CONNECTED + _FATAL + complaint), (0, CONNECTED))
    retries: list[Retry] = []
    Esptool(runner, PORT, baudrate=921_600, on_retry=retries.append).write([SECRET])
    speeds = [argv[argv.index("--baud") + 1] for argv in runner.argvs]
    assert speeds == ["921600", "115200"]
    assert [retry.baudrate for retry in retries] == [115_200]
    assert runner.contents == [SECRET.data] * 2


def test_a_port_that_only_esptool_found_busy_is_tried_again() -> None:
    master, slave = os.openpty()
    try:
        port = os.ttyname(slave)
        busy = _FATAL + f"Could not open {port}, the port is busy or doesn't exist.\n"
        retries: list[Retry] = []
        runner = FakeRunner((2, busy), (0, CONNECTED))
        Esptool(runner, port, on_retry=retries.append).write([SECRET])
        assert [f"cannot open {port}" in retry.reason for retry in retries] == [True]
        with pytest.raises(TransferFault, match="cannot open"):
            Esptool(FakeRunner((2, busy)), port, once=True).write([SECRET])
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("complaint", _NOISE)
def test_a_second_serial_fault_is_an_error(complaint: str) -> None:
    fault = (2, CONNECTED + _FATAL + complaint)
    with pytest.raises(DeviceError, match="twice"):
        Esptool(FakeRunner(fault, fault), PORT).write([SECRET])


def test_a_board_that_hangs_is_a_timeout() -> None:
    hang = CommandTimeout("esptool did not finish", argv=["esptool"], output="Connecting....")
    with pytest.raises(LinkTimeout, match="stopped answering"):
        Esptool(FakeRunner(hang, hang), PORT).write([SECRET])


def test_too_few_bytes_are_not_taken_for_all() -> None:
    class Short(FakeRunner):
        def run(self, argv, **options):  # type: ignore[no-untyped-def]  # as its base
            result = super().run(argv, **options)
            Path(argv[-1]).write_bytes(b"x")
            return result

    with pytest.raises(DeviceError, match="asked for 3072 bytes of flash and got 1"):
        Esptool(Short((0, CONNECTED)), PORT).read(0x8000, 0xC00)


def test_a_missing_port_is_named_before_anything_starts() -> None:
    runner = FakeRunner()
    with pytest.raises(DeviceError, match="no serial port '/dev/ttyNONE'"):
        Esptool(runner, "/dev/ttyNONE").write([SECRET])
    assert runner.argvs == []


@pytest.mark.parametrize(
    ("port", "kind", "words"),
    [
        ("nonsense://board", ConfigError, "'nonsense://board': invalid URL"),
        ("", DeviceError, "no serial port ''"),  # not the current folder
    ],
)
def test_what_can_be_no_port_is_named_before_anything_starts(
    port: str, kind: type[EvtoolError], words: str
) -> None:
    runner = FakeRunner()
    with pytest.raises(kind, match=words):
        Esptool(runner, port).write([SECRET])
    assert runner.argvs == []


def test_a_relative_port_means_the_file_that_the_user_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    master, slave = os.openpty()
    try:
        (tmp_path / "board").symlink_to(os.ttyname(slave))
        runner = FakeRunner((0, CONNECTED))
        Esptool(runner, "board").write([SECRET])
    finally:
        os.close(master)
        os.close(slave)
    assert str(tmp_path / "board") in runner.argvs[0]
