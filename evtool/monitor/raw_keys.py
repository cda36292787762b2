# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyboard in raw mode: every byte goes to the board, but for two keys of our own.

The menu key (Ctrl-T) begins a command of one more key; Ctrl-] ends. Ctrl-C ends too, unless it is
to go to the board.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evtool.errors import EvtoolError, Stopped
from evtool.monitor.keys import Watching
from evtool.monitor.outgoing import AT_ONCE, Pace
from evtool.monitor.raw_printer import RawPrinter

MENU_KEY = b"\x14"
QUIT_KEY = b"\x1d"
_CTRL_C = b"\x03"
_RUBOUT = (0x7F, 0x08)

HELP = (
    ("h", "this help"),
    ("q", "quit (Ctrl-] does, too)"),
    ("r", "reset the board"),
    ("t", "times: none, iso, epoch, relative, delta, device"),
    ("x", "hex view, on or off"),
    ("c", "colours: kept or stripped"),
    ("p", "paste a file"),
    ("n", "type to the next port, after the last one to all"),
    ("i", "what is watched, and how much came"),
)


@dataclass(frozen=True, slots=True)
class RawConduct:
    """How raw keys behave.

    Attributes:
        menu_key: the byte that begins a command.
        ctrl_c_quits: whether Ctrl-C ends the watch; else it goes to the board.
        pace: how fast what is typed and pasted goes out.
    """

    menu_key: bytes = MENU_KEY
    ctrl_c_quits: bool = True
    pace: Pace = AT_ONCE


class RawKeys:
    """Keys for a terminal in raw mode.

    Args:
        ports: the ports that may be typed to.
        printer: what shows the board's bytes; None where lines of several ports are shown.
        show: takes our own words, between the board's.
        read_file: the bytes of a file; raises EvtoolError.
    """

    may_wait = False

    def __init__(
        self,
        ports: Sequence[str],
        conduct: RawConduct,
        printer: RawPrinter | None,
        show: Callable[[bytes], None],
        read_file: Callable[[str], bytes],
    ) -> None:
        self._ports = ports
        self._conduct = conduct
        self._printer = printer
        self._show = show
        self._read_file = read_file
        self._target = 0
        self._in_menu = False
        self._file: bytes | None = None  # its name, as far as it is typed

    @property
    def greeting(self) -> str:
        """What a person must know, in one line."""
        menu = key_name(self._conduct.menu_key)
        quits = " or Ctrl-C" if self._conduct.ctrl_c_quits else ""
        return f"{', '.join(self._ports)}: {menu} h for help, Ctrl-]{quits} to quit"

    def on_keys(self, pressed: bytes, watching: Watching) -> None:
        """These were pressed, in order."""
        own = self._conduct.menu_key + QUIT_KEY
        if self._conduct.ctrl_c_quits:
            own += _CTRL_C
        plain = bytearray()
        for byte in pressed:
            if self._file is not None:
                self._type_name(byte, watching)
            elif self._in_menu:
                self._in_menu = False
                if self._command(bytes([byte]), watching):
                    return
            elif byte not in own:
                plain.append(byte)
            else:
                self._send(bytes(plain), watching)
                plain.clear()
                if byte == self._conduct.menu_key[0]:
                    self._in_menu = True
                elif bytes([byte]) == _CTRL_C:
                    watching.end(Stopped("stopped"))
                    return
                else:
                    watching.quit()
                    return
        self._send(bytes(plain), watching)

    @property
    def _port(self) -> str:
        """What is typed to; "" for all."""
        return self._ports[self._target] if self._target < len(self._ports) else ""

    def _say(self, text: str) -> None:
        self._show(f"\r\n-- {text}\r\n".encode())

    def _send(self, data: bytes, watching: Watching) -> None:
        if not data:
            return
        pace = self._conduct.pace
        if pace == AT_ONCE or len(data) == 1:
            if not watching.write(data, self._port):
                self._say("the port is not there")
        else:
            watching.paste(data, pace, self._port)

    def _command(self, key: bytes, watching: Watching) -> bool:
        """Do what `key` stands for; whether that ends the watch."""
        printer = self._printer
        match key:
            case b"q" | b"Q":
                watching.quit()
                return True
            case b"r" | b"R":
                done = watching.reset(self._port)
                self._say("reset" if done else "the port has no reset line, or is not there")
            case b"p" | b"P":
                self._file = b""
                self._show(b"\r\n-- paste which file? (Ctrl-C: none) ")
            case b"n" | b"N":
                self._target = (self._target + 1) % (len(self._ports) + (len(self._ports) > 1))
                self._say(f"typing to {self._port or 'all ports'}")
            case b"i" | b"I":
                for port in self._ports:
                    self._say(f"{port}: {watching.received(port)} bytes came")
            case b"t" | b"T" if printer is not None:
                self._say(f"times: {printer.cycle_timestamps()}")
            case b"x" | b"X" if printer is not None:
                printer.hexadecimal = not printer.hexadecimal
                self._say(f"hex view {'on' if printer.hexadecimal else 'off'}")
            case b"c" | b"C" if printer is not None:
                printer.colours = not printer.colours
                self._say(f"colours {'kept' if printer.colours else 'stripped'}")
            case _ if key in (self._conduct.menu_key, QUIT_KEY, _CTRL_C):
                self._send(key, watching)
            case _:
                self._help()
        return False

    def _help(self) -> None:
        menu = key_name(self._conduct.menu_key)
        rows = [f"{menu}, then one of these keys:"]
        rows += [f"  {key}  {text}" for key, text in HELP]
        rows.append(f"  {menu}, Ctrl-] or Ctrl-C: send that key itself")
        self._say("\r\n-- ".join(rows))

    def _type_name(self, byte: int, watching: Watching) -> None:
        """One more key of the name of the file to paste."""
        name = self._file or b""
        if byte in b"\r\n":
            self._file = None
            self._paste(name, watching)
        elif byte in (3, 4, 27):
            self._file = None
            self._say("nothing pasted")
        else:
            self._file = name[:-1] if byte in _RUBOUT else name + bytes([byte])
            self._show(b"\b \b" * len(name[-1:]) if byte in _RUBOUT else bytes([byte]))

    def _paste(self, name: bytes, watching: Watching) -> None:
        if not name:
            self._say("nothing pasted")
            return
        try:
            data = self._read_file(name.decode(errors="surrogateescape"))
        except EvtoolError as error:
            self._say(error.message)
            return
        watching.paste(data, self._conduct.pace, self._port)
        self._say(f"{len(data)} bytes of {name.decode(errors='replace')} to send")


def key_name(key: bytes) -> str:
    """`Ctrl-T` for 0x14; other bytes as they are."""
    return f"Ctrl-{chr(key[0] + 0x40)}" if key[0] < 0x20 else key.decode("latin-1")
