# SPDX-License-Identifier: GPL-3.0-or-later
"""esptool as a program of its own: typed calls in, values and evtool's errors out.

Bytes travel in files of mode 0600 in a folder of mode 0700 that is gone when the call is
over; never in arguments, which every user of the computer can read.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evtool.errors import DeviceError, EvtoolError, ToolError, TransferFault
from evtool.link.command import CommandResult, CommandTimeout
from evtool.link.esptool_faults import CABLE_FIX, SerialFault, deadline_passed, translate
from evtool.link.private_folder import private_folder
from evtool.link.serial_line import check_url, is_url, open_serial_line
from evtool.protocol.board_flash import (
    BoardFacts,
    ChipInfo,
    FlashPart,
    WriteProgress,
    parse_flash_size,
)
from evtool.protocol.can_frame import Malformed
from evtool.protocol.chip_fuses import parse_secured

BAUDRATE = 460_800
SLOW_BAUDRATE = ROM_BAUDRATE = 115_200
# Connecting and uploading the stub, with esptool's own attempts.
_OVERHEAD_S = 60.0
# Worst of typical NOR flash: 400 ms to erase a sector of 4096 bytes.
_ERASE_S_PER_BYTE = 0.4 / 4096

# -P: the modules beside it, and those in the current folder, are not meant.
_PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("patient_esptool.py")))

_CONNECTED = re.compile(r"Connected to (ESP[0-9A-Za-z-]+) on ")
_CHIP_TYPE = re.compile(r"Chip type:\s+(.+)")
_MAC = re.compile(r"MAC:\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s*\Z")
_REVISION = re.compile(r"\(revision v([0-9]+)\.([0-9]+)\)")
_FLASH_SIZE = re.compile(r"Detected flash size: ([0-9]+[KM]B)")
_WRITING = re.compile(r"Writing at 0x([0-9a-f]+) .*?([0-9]+)(?:\.[0-9]+)?%")


class Runner(Protocol):
    """What `evtool.link.command.CommandRunner` is."""

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run a program to its end."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A call that failed and is made once more: why, and at which speed."""

    reason: str
    baudrate: int


class Esptool:
    """The flash of the board at one serial port.

    Each call is one run of esptool, which resets the board before and after. A call that a
    serial fault broke off is made once more, whole, at a slower speed.

    Args:
        runner: starts the program.
        port: a device, or a URL of pyserial (socket://, rfc2217://).
        chip: the family that is wanted, as esptool names it; any other is refused.
        baudrate: for the data; connecting is always done at 115200.
        on_retry: told about every second attempt.
        once: leave the second attempt to the caller, who is told by a TransferFault.
        patience: is given what looks at the port, to do it for as long as its fault may pass.
    """

    def __init__(
        self,
        runner: Runner,
        port: str,
        *,
        chip: str = "esp32",
        baudrate: int = BAUDRATE,
        on_retry: Callable[[Retry], None] | None = None,
        once: bool = False,
        patience: Callable[[Callable[[], None]], None] = lambda look: look(),
    ) -> None:
        self._runner = runner
        # esptool runs in a folder of its own, where a relative path would mean another file.
        self._port = str(Path(port).absolute()) if port and Path(port).exists() else port
        self._chip = chip
        self._baudrate = baudrate
        self._on_retry = on_retry
        self._once = once
        self._patience = patience

    def check_port(self) -> None:
        """See that the port can be opened; resets nothing. A URL is not connected to.

        Raises:
            ConfigError: a URL that no program knows.
            DeviceError: missing (naming the ports that exist), busy, or not allowed.
        """
        if is_url(self._port):
            check_url(self._port)
        else:
            self._patience(lambda: open_serial_line(self._port).close())

    def identify(self) -> BoardFacts:
        """Chip and flash, without the security fuses, which not every chip tells.

        Raises:
            DeviceError, LinkTimeout, ToolError: as `translate` says.
        """
        with _scratch_folder() as folder:
            output = self._call(["flash-id"], folder, 0, None).output
        return board_facts(output)

    def read_secured(self) -> tuple[str, ...]:
        """Which of `board_flash.SECURITY` the chip's fuses have switched on.

        The chip stays in its loader; every other call starts it again at its end.

        Raises:
            DeviceError, LinkTimeout, ToolError: as `translate` says.
            SecureDownloadMode: the chip does not tell any more.
        """
        with _scratch_folder() as folder:
            target = folder / "fuses.json"
            arguments = ["summary", "--format", "json", "--file", str(target)]
            output = self._call(arguments, folder, 0, None, "espefuse").output
            text = target.read_text() if target.exists() else ""
        chip = self._chip if self._chip != "auto" else self.identify().chip.chip
        found = parse_secured(text, chip)
        if isinstance(found, Malformed):
            raise ToolError(f"espefuse: {found.reason}", output=output)
        return found

    def read(self, offset: int, size: int) -> tuple[bytes, ChipInfo]:
        """`size` bytes of flash from `offset`, and the chip that gave them.

        Raises:
            DeviceError, LinkTimeout, ToolError: as `translate` says.
        """
        with _scratch_folder() as folder:
            target = folder / "read.bin"
            arguments = ["read-flash", f"{offset:#x}", f"{size:#x}", str(target)]
            result = self._call(arguments, folder, size, None)
            data = target.read_bytes() if target.exists() else b""
        if len(data) != size:
            raise DeviceError(
                f"{self._port}: asked for {size} bytes of flash and got {len(data)}",
                fix="check the cable, then run the command again",
            )
        return data, chip_info(result.output)

    def write(
        self,
        parts: Sequence[FlashPart],
        on_progress: Callable[[WriteProgress], None] | None = None,
        *,
        ciphertext: bool = False,
    ) -> ChipInfo:
        """Write the parts, each checked by the chip's MD5 of what arrived.

        Those that go through the chip's cipher are written first, and cannot be checked.

        Args:
            ciphertext: the others are what an encrypted flash must hold: esptool, which takes
                them for a mistake, is told to write them all the same.

        Raises:
            DeviceError, LinkTimeout, ToolError: as `translate` says; the flash is then
                partly written.
        """

        def follow(line: str) -> None:
            progress = write_progress(line, parts)
            if progress is not None and on_progress is not None:
                on_progress(progress)

        keep = ["--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "keep"]
        through_chip = [part for part in parts if part.encrypt]
        others = [part for part in parts if not part.encrypt]
        if through_chip:
            chip = self._call_with_files("write-flash", [*keep, "--encrypt"], through_chip, follow)
            if not others:
                return chip
        forced = ["--force"] if ciphertext else []
        return self._call_with_files("write-flash", [*keep, *forced], others, follow)

    def verify(self, parts: Sequence[FlashPart]) -> ChipInfo:
        """Compare the parts with the flash by the chip's MD5.

        Raises:
            DeviceError: they differ.
            LinkTimeout, ToolError: as `translate` says.
        """
        return self._call_with_files("verify-flash", [], parts, None)

    def _call_with_files(
        self,
        command: str,
        options: list[str],
        parts: Sequence[FlashPart],
        on_line: Callable[[str], None] | None,
    ) -> ChipInfo:
        with _scratch_folder() as folder:
            arguments = [command, *options]
            for number, part in enumerate(parts):
                file = folder / f"{number}-{part.name}.bin"
                _write_private(file, part.data)
                arguments += [f"{part.offset:#x}", str(file)]
            size = sum(len(part.data) for part in parts)
            result = self._call(arguments, folder, size, on_line)
        return chip_info(result.output)

    def _call(
        self,
        arguments: list[str],
        folder: Path,
        size: int,
        on_line: Callable[[str], None] | None,
        program: str = "esptool",
    ) -> CommandResult:
        self.check_port()
        slower = min(self._baudrate, SLOW_BAUDRATE)
        try:
            return self._run(self._baudrate, arguments, folder, size, on_line, program)
        except SerialFault as fault:
            if self._once:
                raise TransferFault(fault.message, fix=CABLE_FIX) from fault
            if self._on_retry is not None:
                self._on_retry(Retry(fault.message, slower))
        self.check_port()
        try:
            return self._run(slower, arguments, folder, size, on_line, program)
        except SerialFault as fault:
            raise fault.as_error() from fault

    def _run(
        self,
        baudrate: int,
        arguments: list[str],
        folder: Path,
        size: int,
        on_line: Callable[[str], None] | None,
        program: str,
    ) -> CommandResult:
        argv = [*_PROGRAM, program, "--chip", self._chip, "--port", self._port]
        # Fuses are read by the ROM's loader, which espefuse does not tell to be faster.
        speed = ROM_BAUDRATE if program == "espefuse" else baudrate
        argv += ["--baud", str(speed), *arguments]
        # Twice the time on the wire (10 bits a byte), and the erasing.
        timeout_s = _OVERHEAD_S + size * (2 * 10 / min(baudrate, SLOW_BAUDRATE) + _ERASE_S_PER_BYTE)
        try:
            result = self._runner.run(
                argv, cwd=folder, env=_environment(), timeout_s=timeout_s, on_line=on_line
            )
        except CommandTimeout as error:
            raise deadline_passed(self._port, timeout_s, error) from error
        if result.return_code != 0:
            failure = translate(result, argv, self._port, self._chip)
            if isinstance(failure, DeviceError) and "cannot open" in failure.message:
                self.check_port()  # its own complaint is more exact, if it has one
                if not is_url(self._port):  # what it was has passed
                    tool = ToolError(failure.message, argv=argv, output=result.output)
                    failure = SerialFault(failure.message, silent=False, tool=tool)
            raise failure
        return result


def chip_info(output: str) -> ChipInfo:
    """What esptool said about the chip while connecting."""
    chip = description = mac = ""
    for line in output.splitlines():
        if found := _CONNECTED.search(line):
            chip = found[1].lower().replace("-", "")
        elif found := _CHIP_TYPE.match(line):
            description = found[1].strip()
        elif found := _MAC.match(line):
            mac = found[1]
    return ChipInfo(chip, description, mac)


def board_facts(output: str) -> BoardFacts:
    """What `esptool flash-id` said."""
    info = chip_info(output)
    revision = _REVISION.search(info.description)
    size = _FLASH_SIZE.search(output)
    return BoardFacts(
        info,
        None if revision is None else int(revision[1]) * 100 + int(revision[2]),
        None if size is None else parse_flash_size(size[1]),
        security_known=False,
    )


def write_progress(line: str, parts: Sequence[FlashPart]) -> WriteProgress | None:
    """How far a write is, where `line` of esptool's output says so."""
    found = _WRITING.search(line)
    if found is None:
        return None
    address = int(found[1], 16)
    for number, part in enumerate(parts):
        # the address is the next one to write: at the end it is the first one behind
        if part.offset <= address <= part.end:
            return WriteProgress(number, min(100, int(found[2])))
    return None


def _environment() -> dict[str, str]:
    """Ours, without what would change esptool's port, speed, chip or output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ESPTOOL_")
    }
    return environment | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "240"}


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """`private_folder`, and evtool's own error where it cannot be made."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(private_folder())
        except OSError as error:
            raise _no_room(None, error) from error
        yield folder


def _write_private(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except OSError as error:
        raise _no_room(path, error) from error


def _no_room(path: Path | None, error: OSError) -> EvtoolError:
    return EvtoolError(
        f"cannot write {path or 'a temporary file'}: {error.strerror or error}",
        fix="free space there, or set TMPDIR to another folder",
    )
