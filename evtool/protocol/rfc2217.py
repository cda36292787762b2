# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 2217: a serial port over a telnet connection, with its rate and its control lines.

Both halves: a server for a port that takes any rate and format (what the client asks for is
answered as done), and a client. Bytes in, events and bytes out; no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, ECHO, SUPPRESS_GO_AHEAD, COM_PORT = 0, 1, 3, 44
_OPTIONS = frozenset({BINARY, SUPPRESS_GO_AHEAD, COM_PORT})
_IAC = b"\xff"

_SIGNATURE, _BAUDRATE, _DATASIZE, _PARITY, _STOPSIZE, _CONTROL = range(6)
_MODEM_STATE, _MODEM_MASK, _LINE_MASK, _PURGE = 7, 11, 10, 12
_ANSWER = 100
# Ask for: flow control, break, DTR, RTS, inbound flow control.
_ASK_FLOW, _ASK_BREAK, _ASK_DTR, _ASK_RTS, _ASK_INBOUND = 0, 4, 7, 10, 13
_NO_FLOW, _NO_BREAK, _NO_INBOUND = 1, 6, 14
_DTR_ON, _DTR_OFF, _RTS_ON, _RTS_OFF = 8, 9, 11, 12
# Carrier, data set ready, clear to send.
_MODEM_READY = 0xB0
_MAX_SUBNEGOTIATION = 64


@dataclass(frozen=True, slots=True)
class PortBytes:
    """Bytes for the serial port."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PortLines:
    """The client has set the control lines."""

    dtr: bool
    rts: bool


PortEvent = PortBytes | PortLines


def encode(data: bytes) -> bytes:
    """Bytes from the serial port as the client gets them."""
    return data.replace(_IAC, _IAC + _IAC)


class _Telnet:
    """One end of a telnet connection: bytes and commands told apart, options agreed on."""

    def __init__(self) -> None:
        self._ours: set[int] = set()
        self._theirs: set[int] = set()
        self._pending = b""
        self._answers: list[bytes] = []

    def take_answers(self) -> bytes:
        """What the other end is to be sent since the last call."""
        answers, self._answers = b"".join(self._answers), []
        return answers

    def feed(self, data: bytes) -> list[PortEvent]:
        """What these bytes of the connection mean, in order."""
        if not self._pending and _IAC not in data:
            return [PortBytes(data)] if data else []
        data = self._pending + data
        self._pending = b""
        events: list[PortEvent] = []
        plain = bytearray()
        position = 0
        while True:
            at = data.find(_IAC, position)
            if at < 0:
                plain += data[position:]
                break
            plain += data[position:at]
            end = self._command_end(data, at)
            if end is None:
                # Not whole yet; what never ends is no telnet.
                if len(data) - at <= _MAX_SUBNEGOTIATION:
                    self._pending = data[at:]
                break
            if data[at + 1] == IAC:
                plain += _IAC
            else:
                if plain:
                    events.append(PortBytes(bytes(plain)))
                    plain.clear()
                events += self._command(data[at + 1 : end])
            position = end
        if plain:
            events.append(PortBytes(bytes(plain)))
        return events

    @staticmethod
    def _command_end(data: bytes, at: int) -> int | None:
        if at + 1 >= len(data):
            return None
        command = data[at + 1]
        if command in {WILL, WONT, DO, DONT}:
            return at + 3 if at + 2 < len(data) else None
        if command != SB:
            return at + 2
        position = at + 2
        while True:
            position = data.find(_IAC, position)
            if position < 0 or position + 1 >= len(data):
                return None
            if data[position + 1] == SE:
                return position + 2
            position += 2

    def _command(self, command: bytes) -> list[PortEvent]:
        match command[0]:
            case 250:  # SB
                body = command[1:-2].replace(_IAC + _IAC, _IAC)
                return self._subnegotiation(body)
            case 251 | 252:  # WILL, WONT
                self._negotiate(command[0] == WILL, command[1], self._theirs, (DO, DONT))
            case 253 | 254:  # DO, DONT
                self._negotiate(command[0] == DO, command[1], self._ours, (WILL, WONT))
        return []

    def _negotiate(
        self, wanted: bool, option: int, active: set[int], words: tuple[int, int]
    ) -> None:
        """Answer a change, and only a change, or two ends would talk for ever."""
        yes, no = words
        if wanted and option not in _OPTIONS:
            self._answers.append(bytes([IAC, no, option]))
        elif wanted != (option in active):
            active.symmetric_difference_update({option})
            self._answers.append(bytes([IAC, yes if wanted else no, option]))

    def _subnegotiation(self, body: bytes) -> list[PortEvent]:
        raise NotImplementedError

    def _say(self, code: int, data: bytes) -> None:
        body = bytes([COM_PORT, code]) + encode(data)
        self._answers.append(bytes([IAC, SB]) + body + bytes([IAC, SE]))


class Server(_Telnet):
    """One client's connection.

    Attributes:
        baudrate: what the client asked for last.
    """

    def __init__(self, signature: str) -> None:
        super().__init__()
        self.baudrate = 115_200
        self._signature = signature.encode("ascii")
        self._format = {_DATASIZE: 8, _PARITY: 1, _STOPSIZE: 1}
        self._dtr = self._rts = False

    def _answer(self, code: int, data: bytes) -> None:
        self._say(code + _ANSWER, data)

    def _subnegotiation(self, body: bytes) -> list[PortEvent]:
        if len(body) < 2 or body[0] != COM_PORT:
            return []
        code, data = body[1], body[2:]
        events: list[PortEvent] = []
        if code == _SIGNATURE:
            if not data:
                self._answer(code, self._signature)
        elif code == _BAUDRATE and len(data) == 4:
            self.baudrate = int.from_bytes(data, "big") or self.baudrate
            self._answer(code, self.baudrate.to_bytes(4, "big"))
        elif not data:
            return []
        elif code in self._format:
            self._format[code] = data[0] or self._format[code]
            self._answer(code, bytes([self._format[code]]))
        elif code == _CONTROL:
            events = self._control(data[0])
        elif code == _PURGE:
            # What waits here goes out before this answer, and the client empties its own queue
            # when it has the answer.
            self._answer(code, data[:1])
        elif code in {_MODEM_MASK, _LINE_MASK}:
            self._answer(code, data[:1])
            if code == _MODEM_MASK:
                self._answer(_MODEM_STATE, bytes([_MODEM_READY & data[0]]))
        return events

    def _control(self, value: int) -> list[PortEvent]:
        if value in {_DTR_ON, _DTR_OFF}:
            self._dtr = value == _DTR_ON
        elif value in {_RTS_ON, _RTS_OFF}:
            self._rts = value == _RTS_ON
        answers = {
            _ASK_FLOW: _NO_FLOW,
            _ASK_BREAK: _NO_BREAK,
            _ASK_DTR: _DTR_ON if self._dtr else _DTR_OFF,
            _ASK_RTS: _RTS_ON if self._rts else _RTS_OFF,
            _ASK_INBOUND: _NO_INBOUND,
        }
        self._answer(_CONTROL, bytes([answers.get(value, value)]))
        if value in {_DTR_ON, _DTR_OFF, _RTS_ON, _RTS_OFF}:
            return [PortLines(self._dtr, self._rts)]
        return []


class Client(_Telnet):
    """The other half: our connection to a server. DTR and RTS stay as they are until they are set:
    a board must not be reset by looking at it.

    Args:
        baudrate: what the line is set to, with 8N1 and no flow control, once the server agrees to
            the option. One that knows only telnet carries the bytes all the same.
    """

    def __init__(self, baudrate: int) -> None:
        super().__init__()
        self._baudrate = baudrate
        self._is_set = False
        for word, option in (
            (WILL, COM_PORT),
            (DO, BINARY),
            (WILL, BINARY),
            (DO, SUPPRESS_GO_AHEAD),
            (WILL, SUPPRESS_GO_AHEAD),
        ):
            (self._ours if word == WILL else self._theirs).add(option)
            self._answers.append(bytes([IAC, word, option]))

    @property
    def has_lines(self) -> bool:
        """Whether the server has agreed to set the rate and the control lines."""
        return self._is_set

    def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Have the server set DTR and RTS, as far as `take_answers` is sent."""
        self._say(_CONTROL, bytes([_DTR_ON if dtr else _DTR_OFF]))
        self._say(_CONTROL, bytes([_RTS_ON if rts else _RTS_OFF]))

    def _negotiate(
        self, wanted: bool, option: int, active: set[int], words: tuple[int, int]
    ) -> None:
        super()._negotiate(wanted, option, active, words)
        if option == COM_PORT and words == (WILL, WONT) and wanted and not self._is_set:
            self._is_set = True
            self._say(_BAUDRATE, self._baudrate.to_bytes(4, "big"))
            for code, value in ((_DATASIZE, 8), (_PARITY, 1), (_STOPSIZE, 1), (_CONTROL, _NO_FLOW)):
                self._say(code, bytes([value]))

    def _subnegotiation(self, body: bytes) -> list[PortEvent]:
        return []
