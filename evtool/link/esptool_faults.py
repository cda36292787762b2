# SPDX-License-Identifier: GPL-3.0-or-later
"""esptool's complaints in evtool's words: the one place that knows its sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evtool.errors import DeviceError, EvtoolError, LinkTimeout, ToolError, WrongBoard
from evtool.link.command import CommandResult, CommandTimeout
from evtool.protocol.board_flash import ANY_CHIP

_NO_SYNC_FIX = "hold BOOT while you press RESET, check cable and power, then run the command again"
CABLE_FIX = "use a shorter cable or another USB port, then run the command again"

# A sentence that means bytes were lost or spoiled on their way: worth another try.
_SERIAL_FAULT = re.compile(
    "No more data to read|Packet content transfer stopped|Invalid head of packet|"
    "Invalid SLIP escape|Serial data stream stopped|Response doesn't match request|"
    "Corrupt data|Digest mismatch|Expected digest|Read more than expected|"
    "MD5 of file does not match|the written flash region is empty|"
    "Failed to (?:write|start stub|enter|upload)|Lost connection|The chip stopped responding|"
    "A serial exception error|Input/output error"
)
_NO_SYNC = re.compile(r"Failed to connect to|No serial data received|Wrong boot mode detected")
_WRONG_CHIP = re.compile(r"This chip is (\S+), not (\S+)\.")
_TOO_LARGE = re.compile(r"will not fit in|larger than (?:detected|the available) flash size")
_VERIFY = re.compile(r"Verification failed")
_OPEN = re.compile(r"Could not open (\S+),")
_BAUDRATE = re.compile(r"Failed to set baud rate (\d+)")
_DOWNLOAD_OFF = re.compile(r"[Ss]ecure [Dd]ownload [Mm]ode")


class FlashDiffers(DeviceError):
    """What was compared with the flash is not what it holds."""


class SecureDownloadMode(DeviceError):
    """The loader is down to a few commands, for good."""


class SerialFault(Exception):
    """Bytes were lost or spoiled; the whole call may be made again.

    Attributes:
        message: what happened.
        silent: the board fell silent, rather than said something wrong.
        tool: esptool's own report.
    """

    def __init__(self, message: str, *, silent: bool, tool: ToolError) -> None:
        super().__init__(message)
        self.message = message
        self.silent = silent
        self.tool = tool

    def as_error(self) -> EvtoolError:
        """The error for when the second attempt has failed too."""
        kind = LinkTimeout if self.silent else DeviceError
        return kind(f"{self.message}, twice\n{_tail(self.tool.output)}", fix=CABLE_FIX)


def translate(
    result: CommandResult, argv: Sequence[str], port: str, chip: str
) -> EvtoolError | SerialFault:
    """The error that a failed run of esptool means.

    Returns:
        SerialFault (worth another try), DeviceError, LinkTimeout, or ToolError for what is
        not known here.
    """
    output = result.output
    tool = ToolError(
        "esptool failed", argv=argv, return_code=result.return_code, output=_tail(output)
    )
    error: EvtoolError | SerialFault = tool
    if found := _OPEN.search(output):
        error = DeviceError(
            f"cannot open {found[1]}: {_reason(output)}",
            fix="check that the board is connected and that no other program uses the port",
        )
    elif found := _WRONG_CHIP.search(output):
        error = WrongBoard(
            f"{port}: the chip is {found[1]}, the firmware is for {found[2]}",
            fix="connect the right board, or build for this one",
        )
    elif found := _BAUDRATE.search(output):
        error = DeviceError(
            f"{port}: the port cannot do {found[1]} baud", fix="give a lower --baudrate"
        )
    elif _DOWNLOAD_OFF.search(output):
        error = SecureDownloadMode(
            f"{port}: the chip is in secure download mode and gives no access to its flash",
            fix="this unit can no longer be changed over its serial port",
        )
    elif _TOO_LARGE.search(output):
        error = DeviceError(
            f"{port}: the board's flash is smaller than the layout\n{_tail(output, 2)}",
            fix="use a board with more flash, or a smaller partition table",
        )
    elif _VERIFY.search(output):
        error = FlashDiffers(
            f"{port}: the flash does not hold what was written to it",
            fix="run the command again; if it stays so, the flash chip is worn or protected",
        )
    elif _SERIAL_FAULT.search(output):
        sentence = _sentence(output)
        error = SerialFault(f"{port}: {sentence}", silent="data" in sentence, tool=tool)
    elif _NO_SYNC.search(output):
        wanted = "board" if chip == ANY_CHIP else chip.upper()
        error = LinkTimeout(f"{port}: no {wanted} answered ({_sentence(output)})", fix=_NO_SYNC_FIX)
    return error


def deadline_passed(port: str, timeout_s: float, error: CommandTimeout) -> SerialFault:
    """esptool waits without end for a stub that never says hello; we do not."""
    return SerialFault(
        f"{port}: the board stopped answering; esptool was ended after {timeout_s:.0f} s",
        silent=True,
        tool=error,
    )


def _tail(output: str, lines: int = 6) -> str:
    kept = [line for line in output.splitlines() if "troubleshooting" not in line.lower()]
    return "\n".join(kept[-lines:])


def _sentence(output: str) -> str:
    """esptool's last complaint, without its preface."""
    complaints = re.findall(
        r"(?:A fatal error occurred|A serial exception error occurred): (.+)", output
    )
    last = str(complaints[-1]) if complaints else "esptool gave no reason"
    return last.strip().rstrip(".").removesuffix(" This can have many causes, for")


def _reason(output: str) -> str:
    found = re.search(r"\[Errno -?\d+\] ([^:\])]+)(?:: '[^']*')?\)?\s*$", output, re.MULTILINE)
    return found[1].strip() if found else "the port is busy or does not exist"
