# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a download takes at a board in real time, told by a host that takes no time itself.

The stub acknowledges a block before it writes it, so the next block crosses the line meanwhile;
the ROM's loader acknowledges what it has written.
"""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from machine_bench import SYNC, Bench

from evtool.protocol import slip
from evtool.protocol.esp_loader import Op, block_checksum
from evtool.virtual.board import Mode
from evtool.virtual.effects import Busy, Transmit
from evtool.virtual.flash_chip import (
    BLOCK_ERASE_US,
    BLOCK_SIZE,
    PAGE_PROGRAM_US,
    PAGE_SIZE,
    SECTOR_ERASE_US,
    SECTOR_SIZE,
)
from evtool.virtual.pace import Pace

RATE = 921_600
OFFSET = 0x10000
STUB_BLOCK = 0x4000
ROM_BLOCK = 0x400
BLOCKS = 12
_ENTRY = 0x40080000
_OTHER_US = 10_000  # acknowledgements, headers, escaped bytes, per block


class Host:
    """A host that sends the next request the moment the answer is there."""

    def __init__(self) -> None:
        self.bench = Bench(bytearray(b"\xff" * (2 << 20)))
        self.pace = Pace(random.Random(0))  # noqa: S311 - test data
        self.pace.rate = RATE
        self.bench.start()
        self.bench.serial(SYNC)
        assert self.bench.mode() is Mode.ROM
        self.pace.real_time = True
        self.now_us = 0

    def run_stub(self) -> None:
        code = b"OHAI"
        self.ask(Op.MEM_BEGIN, struct.pack("<4I", len(code), 1, len(code), _ENTRY))
        self.block(Op.MEM_DATA, 0, code)
        self.ask(Op.MEM_END, struct.pack("<2I", 0, _ENTRY))
        assert self.bench.mode() is Mode.STUB

    def block(self, op: Op, seq: int, data: bytes) -> None:
        header = struct.pack("<4I", len(data), seq, 0, 0)
        self.ask(op, header + data, block_checksum(data))

    def ask(self, op: Op, data: bytes = b"", checksum: int = 0) -> None:
        """One request and its answer, which is a success."""
        request = struct.pack("<BBHI", 0, op, len(data), checksum) + data
        self.pace.receive(slip.encode(request), self.now_us)
        decoder = slip.Decoder()
        while (due_us := self.pace.deadline_us) is not None:
            self.now_us = max(self.now_us, due_us)
            while (arrived := self.pace.arrived(self.now_us)) is not None:
                self._board_takes(arrived)
            while (transmit := self.pace.delivered(self.now_us)) is not None:
                for frame in decoder.feed(transmit.data):
                    assert isinstance(frame, bytes)
                    if frame[1] == op:
                        length = int.from_bytes(frame[2:4], "little")
                        assert frame[8 : 8 + length][:1] == b"\0", frame.hex()
                        return
        raise AssertionError(f"no answer to {op.name}")

    def _board_takes(self, data: bytes) -> None:
        self.bench.effects.clear()
        self.bench.serial(data)
        for effect in self.bench.effects:
            if isinstance(effect, Transmit):
                self.pace.send(effect, self.now_us)
            elif isinstance(effect, Busy):
                self.pace.work(effect, self.now_us)

    def download_us(self, begin: Op, size: int, pieces: list[bytes]) -> int:
        """From the first request until the flash has done everything."""
        start_us = self.now_us
        piece = len(pieces[0])
        self.ask(begin, struct.pack("<4I", size, len(pieces), piece, OFFSET))
        data_op = Op.FLASH_DATA if begin is Op.FLASH_BEGIN else Op.FLASH_DEFL_DATA
        for seq, data in enumerate(pieces):
            self.block(data_op, seq, data)
        # Any answer tells that the last block is written.
        self.ask(Op.READ_REG, struct.pack("<I", 0x3FF00000))
        return self.now_us - start_us


def _wire_us(count: int) -> int:
    return count * 10 * 1_000_000 // RATE


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("begin", [Op.FLASH_BEGIN, Op.FLASH_DEFL_BEGIN])
def test_the_stub_programs_while_the_next_block_is_on_the_line(begin: Op) -> None:
    data = random.Random(1).randbytes(BLOCKS * STUB_BLOCK)  # noqa: S311 - test data
    sent = data if begin is Op.FLASH_BEGIN else zlib.compress(data, 9)
    host = Host()
    host.run_stub()
    took_us = host.download_us(begin, len(data), _pieces(sent, STUB_BLOCK))
    assert host.bench.flash.read(OFFSET, len(data)) == data
    write_us = STUB_BLOCK // SECTOR_SIZE * SECTOR_ERASE_US + STUB_BLOCK // PAGE_SIZE * (
        PAGE_PROGRAM_US
    )
    wire_us = _wire_us(STUB_BLOCK)
    # The first block is waited for; from then on the slower of the two is all that counts.
    at_least = wire_us + BLOCKS * max(write_us, wire_us)
    assert at_least <= took_us <= at_least + BLOCKS * _OTHER_US
    assert took_us < BLOCKS * (write_us + wire_us) * 3 // 4


def test_the_stub_keeps_pace_with_a_slow_line() -> None:
    data = random.Random(2).randbytes(BLOCKS * STUB_BLOCK)  # noqa: S311 - test data
    host = Host()
    host.run_stub()
    host.pace.rate = RATE // 8
    took_us = host.download_us(Op.FLASH_BEGIN, len(data), _pieces(data, STUB_BLOCK))
    wire_us = 8 * _wire_us(len(data))
    # Only the last block's writing is not hidden.
    last_us = STUB_BLOCK // SECTOR_SIZE * SECTOR_ERASE_US
    assert wire_us + last_us <= took_us <= wire_us + last_us + BLOCKS * 8 * _OTHER_US


def test_the_rom_erases_first_and_acknowledges_what_it_has_written() -> None:
    data = random.Random(3).randbytes(2 * BLOCK_SIZE)  # noqa: S311 - test data
    host = Host()
    host.ask(Op.SPI_ATTACH, bytes(8))
    pieces = _pieces(data, ROM_BLOCK)
    took_us = host.download_us(Op.FLASH_BEGIN, len(data), pieces)
    assert host.bench.flash.read(OFFSET, len(data)) == data
    erase_us = len(data) // BLOCK_SIZE * BLOCK_ERASE_US
    program_us = len(data) // PAGE_SIZE * PAGE_PROGRAM_US
    at_least = erase_us + program_us + _wire_us(len(data))
    assert at_least <= took_us <= at_least + len(pieces) * 1_000


def test_what_is_faster_than_the_flash_never_overtakes_it() -> None:
    """Blocks that all but vanish on the line leave the flash's own time."""
    data = bytes(BLOCKS * STUB_BLOCK)
    stream = zlib.compressobj(9)
    pieces = [
        stream.compress(part) + stream.flush(zlib.Z_SYNC_FLUSH)
        for part in _pieces(data, STUB_BLOCK)
    ]
    pieces[-1] += stream.flush()
    host = Host()
    host.run_stub()
    took_us = host.download_us(Op.FLASH_DEFL_BEGIN, len(data), pieces)
    sectors = len(data) // SECTOR_SIZE
    flash_us = sectors * SECTOR_ERASE_US + len(data) // PAGE_SIZE * PAGE_PROGRAM_US
    assert flash_us <= took_us <= flash_us + BLOCKS * _OTHER_US
