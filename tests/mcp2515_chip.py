# SPDX-License-Identifier: GPL-3.0-or-later
"""An MCP2515, register by register, from Microchip's data sheet DS20001801.

Bytes on SPI in, bytes on SPI out; frames on the CAN bus in and out. What the data sheet forbids
and the chip would answer with nonsense (a transmit buffer written while it waits, settings
written outside configuration mode) is kept in `violations`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

CANSTAT, CANCTRL, TEC, REC, CANINTE, CANINTF, EFLG = 0x0E, 0x0F, 0x1C, 0x1D, 0x2B, 0x2C, 0x2D
TXB = (0x30, 0x40, 0x50)
RXB = (0x60, 0x70)
FILTERS = (0x00, 0x04, 0x08, 0x10, 0x14, 0x18)
MASKS = (0x20, 0x24)
NORMAL, CONFIGURATION = 0x00, 0x80
TXREQ, TXERR, MLOA, ABTF = 0x08, 0x10, 0x20, 0x40
ERRIF, MERRF = 0x20, 0x80
# Section 11: what BIT MODIFY can reach; elsewhere its mask is 0xFF.
BIT_MODIFIABLE = {0x0C, 0x0D, CANCTRL, 0x28, 0x29, 0x2A, CANINTE, CANINTF, EFLG, *TXB, *RXB}
# The bits that the bus side alone changes, and those that do not exist, stay as they are.
WRITABLE = {0x0C: 0x3F, 0x0D: 0x07, 0x28: 0xC7, EFLG: 0xC0, 0x60: 0x64, 0x70: 0x60}
WRITABLE |= dict.fromkeys((CANSTAT, TEC, REC), 0x00) | dict.fromkeys(TXB, 0x0B)
WRITABLE |= {base + 2: 0xEB for base in TXB} | {base + 5: 0x4F for base in TXB}
WRITABLE |= {base + 1: 0xEB for base in FILTERS} | {base + 1: 0xE3 for base in MASKS}
WRITABLE |= {base + 1 + i: 0x00 for base in RXB for i in range(13)}
SETTINGS = {address + i for address in (*FILTERS, *MASKS) for i in range(4)}
CONFIGURATION_ONLY = SETTINGS | {0x0D, 0x28, 0x29, 0x2A}


@dataclass(frozen=True, slots=True)
class Wire:
    """A frame as the bus carries it; `dlc` up to 15 means eight bytes and more is never sent."""

    can_id: int
    extended: bool = True
    remote: bool = False
    dlc: int = 0
    data: bytes = b""


class Mcp2515Chip:
    """The chip after power-on. `seed` fills the registers that a reset leaves undefined."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)  # noqa: S311 (no secret)
        self.dead: int | None = None  # what MISO reads as while nobody drives it
        self.bus_free = True  # eleven recessive bits have been seen
        self.violations: list[str] = []
        self.transfers: list[bytes] = []
        self.power_on()

    def power_on(self) -> None:
        """Power came up, or dipped: every setting is gone."""
        self.registers = bytearray(self.random.randbytes(128))
        self._reset()
        self.starting = False

    def _reset(self) -> None:
        for address in (0x0C, 0x0D, 0x28, 0x29, 0x2A, CANINTE, CANINTF, EFLG, TEC, REC, *TXB, *RXB):
            self.registers[address] = 0
        self.registers[CANCTRL] = 0x87
        self.mode = CONFIGURATION
        self.flight: int | None = None
        self.bus_off = False
        self.starting = True  # for 128 cycles of the oscillator

    def time_passes(self) -> None:
        """Some milliseconds without SPI."""
        self.starting = False
        self._change_mode()

    @property
    def interrupt(self) -> bool:
        """The INT line is low."""
        return bool(self.registers[CANINTE] & self.registers[CANINTF]) and self.dead is None

    # SPI

    def transfer(self, sent: bytes) -> bytes:
        """CS low, these bytes, CS high. The answer is as long."""
        self.transfers.append(sent)
        if self.dead is not None:
            return bytes([self.dead]) * len(sent)
        if self.starting:
            return bytes(len(sent))
        answer = self._instruction(sent)
        self._change_mode()
        return answer

    def _instruction(self, sent: bytes) -> bytes:
        code, rest = sent[0], sent[1:]
        if code == 0x03:
            return bytes(2) + self._read(rest[0], len(rest) - 1)
        if code & 0xF9 == 0x90:
            second = code >> 2 & 1
            answer = self._read(RXB[second] + (6 if code & 2 else 1), len(rest))
            self.registers[CANINTF] &= ~(1 << second) & 0xFF
            return b"\0" + answer
        if code in (0xA0, 0xB0):
            status = self._status() if code == 0xA0 else self._rx_status()
            return b"\0" + bytes([status]) * len(rest)
        self._command(code, rest)
        return bytes(len(sent))

    def _command(self, code: int, rest: bytes) -> None:
        if code == 0xC0:
            self._reset()
        elif code == 0x02:
            for offset, value in enumerate(rest[1:]):
                self._write(rest[0] + offset, value)
        elif code & 0xF8 == 0x40:
            start = TXB[(code & 7) >> 1] + (6 if code & 1 else 1)
            for offset, value in enumerate(rest):
                self._write(start + offset, value)
        elif code & 0xF8 == 0x80:
            for number, control in enumerate(TXB):
                if code >> number & 1:
                    self._request(control)
        elif code == 0x05:
            self._bit_modify(*rest)
        else:
            self.violations.append(f"no instruction {code:02X}")

    def _read(self, start: int, count: int) -> bytes:
        return bytes(self._value(start + offset & 0x7F) for offset in range(count))

    def _value(self, address: int) -> int:
        if address & 0x0F == CANSTAT:
            return self.mode
        if address & 0x0F == CANCTRL:
            return self.registers[CANCTRL]
        if address in SETTINGS and self.mode != CONFIGURATION:
            return 0  # 4.5: masks and filters read as zero
        if address == RXB[0]:  # BUKT1 is a copy of BUKT
            return self.registers[address] & ~0x02 | (self.registers[address] >> 1 & 0x02)
        exists = WRITABLE.get(address, 0xFF) if address in SETTINGS else 0xFF
        return self.registers[address] & exists

    def _write(self, address: int, value: int) -> None:
        address &= 0x7F
        if address & 0x0F == CANCTRL:
            self._control(value)
            return
        if address & 0x0F == CANSTAT:
            return
        if address in CONFIGURATION_ONLY and self.mode != CONFIGURATION:
            self.violations.append(f"{address:02X} written outside configuration mode")
            return
        for control in TXB:
            if control < address <= control + 13 and self.registers[control] & TXREQ:
                self.violations.append(f"{address:02X} written while its buffer waits")
                return
        mask = WRITABLE.get(address, 0xFF)
        if address in TXB:
            if value & TXREQ:
                self.violations.append("TXREQ set by a write (DS80179, 5)")
            self.registers[address] = self.registers[address] & ~mask | value & mask
            return
        self.registers[address] = self.registers[address] & ~mask & 0xFF | value & mask
        if address == EFLG:
            self._note_errors(self.registers[EFLG])
        if address == CANINTF and self.registers[EFLG]:
            self.registers[CANINTF] |= ERRIF  # 7.7: not before its cause is gone

    def _bit_modify(self, address: int, mask: int, value: int) -> None:
        if address not in BIT_MODIFIABLE and address & 0x0F != CANCTRL:
            self.violations.append(f"{address:02X} is not bit modifiable")
            mask = 0xFF
        self._write(address, self._value(address) & ~mask | value & mask)

    def _control(self, value: int) -> None:
        self.registers[CANCTRL] = value
        if value & 0x10:
            for number, control in enumerate(TXB):
                if self.registers[control] & TXREQ and number != self.flight:
                    self.registers[control] = self.registers[control] & ~TXREQ | ABTF

    def _request(self, control: int) -> None:
        if self.mode != NORMAL:
            self.violations.append("a frame outside normal mode")
        if self.registers[control] & TXREQ:
            self.violations.append("a frame requested twice")
        self.registers[control] = self.registers[control] & ~(ABTF | MLOA | TXERR) | TXREQ
        if self.registers[CANCTRL] & 0x10:
            self._control(self.registers[CANCTRL])

    def _status(self) -> int:
        flags = self.registers[CANINTF]
        status = flags & 0x03
        for number, control in enumerate(TXB):
            status |= bool(self.registers[control] & TXREQ) << (2 + 2 * number)
            status |= (flags >> (2 + number) & 1) << (3 + 2 * number)
        return status

    def _rx_status(self) -> int:
        full = self.registers[CANINTF] & 3
        if not full:
            return 0
        base = RXB[0] if full & 1 else RXB[1]
        extended = self.registers[base + 2] >> 3 & 1
        remote = self.registers[base + 5] >> 6 if extended else self.registers[base + 2] >> 4
        return full << 6 | extended << 4 | (remote & 1) << 3 | self.registers[base] & 7

    def _change_mode(self) -> None:
        wanted = self.registers[CANCTRL] & 0xE0
        if wanted == self.mode or any(self.registers[control] & TXREQ for control in TXB):
            return  # 10.0: not before what waits is sent
        if wanted == CONFIGURATION:
            self.registers[TEC] = self.registers[REC] = 0
            self.bus_off = False
            self.mode = wanted
            self._note_errors()
        elif wanted == NORMAL and self.bus_free:
            self.mode = wanted

    # The CAN bus

    def hear(self, frame: Wire) -> None:
        """A frame went over the bus without an error."""
        if self.mode != NORMAL or self.bus_off or self.dead is not None:
            return
        if self.registers[REC]:
            self.registers[REC] = min(self.registers[REC] - 1, 127)
            self._note_errors()
        first = self._meets(frame, 0)
        hit = self._meets(frame, 1) if first is None else first
        if hit is None:
            return
        full = self.registers[CANINTF] & 3
        target = 0 if first is not None else 1
        if target == 0 and full & 1 and self.registers[RXB[0]] & 0x04:
            target = 1
        if full >> target & 1:
            self._note_errors(self.registers[EFLG] | 0x40 << target)
            return
        self._store(frame, target, hit)

    def _meets(self, frame: Wire, buffer: int) -> int | None:
        if self.registers[RXB[buffer]] & 0x60 == 0x60:
            return 0
        mask = self.registers[MASKS[buffer] : MASKS[buffer] + 4]
        for number in (0, 1) if buffer == 0 else (2, 3, 4, 5):
            rule = self.registers[FILTERS[number] : FILTERS[number] + 4]
            if bool(rule[1] & 0x08) != frame.extended:
                continue
            seen = _id_bytes(frame)
            if not frame.extended:  # the extended bits look at the first two data bytes
                seen[2:4] = (frame.data + bytes(2))[:2]
            care = bytes([mask[0], mask[1] & (0xE3 if frame.extended else 0xE0), mask[2], mask[3]])
            if all((a ^ b) & c == 0 for a, b, c in zip(seen, rule, care, strict=True)):
                return number
        return None

    def _store(self, frame: Wire, target: int, hit: int) -> None:
        base = RXB[target]
        self.registers[base + 1 : base + 6] = self.buffer_head(frame)
        self.registers[base + 6 : base + 6 + len(frame.data)] = frame.data
        keep = self.registers[base] & 0x64
        self.registers[base] = keep | frame.remote << 3 | (hit & (1 if target == 0 else 7))
        self.registers[CANINTF] |= 1 << target

    def buffer_head(self, frame: Wire) -> bytes:
        """SIDH to DLC as a receive buffer shows them; bits that mean nothing are anything."""
        noise = self.random.randbytes(3)
        head = _id_bytes(frame)
        if frame.extended:
            head[1] |= noise[0] & 0x10  # SRR is for standard frames
            remote = frame.remote << 6
        else:
            head[1] |= frame.remote << 4
            head[2:4] = noise[1:3]
            remote = noise[0] & 0x40  # RTR is for extended ones
        return bytes([*head, remote | noise[0] & 0x30 | frame.dlc])

    def start(self) -> Wire | None:
        """The next frame of the chip's begins: of the highest priority, then number."""
        waiting = [n for n, control in enumerate(TXB) if self.registers[control] & TXREQ]
        if self.mode != NORMAL or self.bus_off or not waiting or self.dead is not None:
            return None
        self.flight = max(waiting, key=lambda n: (self.registers[TXB[n]] & 3, n))
        base = TXB[self.flight]
        high, low, eid8, eid0, dlc = self.registers[base + 1 : base + 6]
        can_id = high << 3 | low >> 5
        extended = bool(low & 0x08)
        if extended:
            can_id = can_id << 18 | (low & 3) << 16 | eid8 << 8 | eid0
        remote = bool(dlc & 0x40)
        length = 0 if remote else min(dlc & 0x0F, 8)
        data = bytes(self.registers[base + 6 : base + 6 + length])
        return Wire(can_id, extended, remote, dlc & 0x0F, data)

    def finish(self, outcome: str = "sent") -> None:
        """What became of it: `sent`, `error`, `no_ack` or `lost` (arbitration)."""
        assert self.flight is not None
        number, self.flight = self.flight, None
        control = TXB[number]
        if outcome == "sent":
            self.registers[control] &= ~TXREQ & 0xFF
            self.registers[CANINTF] |= 0x04 << number
            self.registers[TEC] = max(0, self.registers[TEC] - 1)
        else:
            self.registers[control] |= MLOA if outcome == "lost" else TXERR
            if self.registers[CANCTRL] & 0x18:  # one-shot mode, or an abort
                self.registers[control] = self.registers[control] & ~TXREQ | ABTF
            if outcome == "error" or (outcome == "no_ack" and self.registers[TEC] < 128):
                self._add_transmit_error()
        self._note_errors()
        self._change_mode()

    def transmit(self, outcome: str = "sent") -> Wire | None:
        """A whole frame at once."""
        frame = self.start()
        if frame is not None:
            self.finish(outcome)
        return frame

    def receive_errors(self, count: int) -> None:
        """So many receive errors by one."""
        self.registers[REC] = min(255, self.registers[REC] + count)
        self.registers[CANINTF] |= MERRF
        self._note_errors()

    def _add_transmit_error(self) -> None:
        self.registers[CANINTF] |= MERRF
        total = self.registers[TEC] + 8
        self.bus_off = total > 255
        self.registers[TEC] = min(total, 255)

    def recover(self) -> None:
        """128 times eleven recessive bits went by."""
        if self.bus_off and self.mode == NORMAL:
            self.bus_off = False
            self.registers[TEC] = self.registers[REC] = 0
            self._note_errors()

    def _note_errors(self, flags: int | None = None) -> None:
        before = self.registers[EFLG]
        overflows = (before if flags is None else flags) & 0xC0
        tec, rec = self.registers[TEC], self.registers[REC]
        states = (tec >= 96) << 2 | (rec >= 96) << 1 | (tec >= 128) << 4 | (rec >= 128) << 3
        states |= bool(states) | self.bus_off << 5
        self.registers[EFLG] = overflows | states
        if self.registers[EFLG] & ~before:
            self.registers[CANINTF] |= ERRIF


def _id_bytes(frame: Wire) -> bytearray:
    """SIDH, SIDL, EID8, EID0."""
    if not frame.extended:
        return bytearray([frame.can_id >> 3, (frame.can_id & 7) << 5, 0, 0])
    standard = frame.can_id >> 18
    low = (standard & 7) << 5 | 0x08 | (frame.can_id >> 16 & 3)
    return bytearray([standard >> 3, low, frame.can_id >> 8 & 0xFF, frame.can_id & 0xFF])
