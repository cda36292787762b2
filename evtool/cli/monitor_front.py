# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person, or another program, sees of `evtool monitor`, and what is typed at it."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from evtool.cli.output import leave_without_reader, narrate
from evtool.errors import EvtoolError
from evtool.link.keyboard import Keyboard, PipedInput
from evtool.link.outlet import Outlet
from evtool.monitor.keys import BoardKeys, Keys, PassOn
from evtool.monitor.line_printer import LinePrinter, LineStyle
from evtool.monitor.outgoing import Pace
from evtool.monitor.raw_keys import RawConduct, RawKeys
from evtool.monitor.raw_printer import RawPrinter
from evtool.monitor.stream import Audience, News

if TYPE_CHECKING:
    from evtool.cli.monitor_options import StreamOptions
    from evtool.monitor.on_view import OnView

_COLOURS = (36, 33, 32, 35, 34, 31, 96, 93, 92, 95, 94, 91)
_FLUSH_MS = 20
# A terminal takes some 10 KB at once, and more when it has read them.
_LITTLE = 16_384


@dataclass(slots=True)
class Front:
    """How a watch meets its user.

    Attributes:
        keys: what key presses do; None where there are none.
        read_keys: the keys pressed since the last call.
        alarms: descriptors that wake the watch up.
        polls_keys: whether keys must be asked for now and then, too.
        is_behind: whether a little of what was shown is not taken yet.
        say: takes our own words.
        greeting: how to quit, for when the ports are open.
    """

    keys: Keys | None = None
    read_keys: Callable[[], bytes] = bytes
    alarms: list[int] = field(default_factory=list)
    polls_keys: bool = True
    is_behind: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda text: narrate(f"evtool: {text}")
    greeting: str = ""

    def note(self, event: str, text: str) -> None:
        """Take something that happened, as a line for people."""
        del event
        self.say(text)


class Narration:
    """The watch's own words. The opening of a port is no news, but the first time it is told how
    to quit, where that is not known to everybody."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._greeting = front.greeting

    def on_news(self, news: News) -> None:
        """Say it."""
        if news.event != "connected":
            self._front.say(news.text)
        elif self._greeting:
            self._front.say(self._greeting)
            self._greeting = ""


class Stdout(io.TextIOBase):
    """Standard output for a watch, in bytes and as text: it makes nobody wait."""

    def __init__(
        self, outlet: Outlet, say: Callable[[str], None], hang_up: Callable[[], None] | None
    ) -> None:
        super().__init__()
        self._outlet = outlet
        self._say = say
        self._hang_up = hang_up
        self._closed = False
        self._descriptor = sys.stdout.fileno()
        self.put = outlet.write

    def write(self, text: str, /) -> int:
        """Text, as `print` and `click.echo` have it."""
        self.put(text.encode(errors="backslashreplace"))
        return len(text)

    def fileno(self) -> int:
        """That of the output itself, for whoever gives it up (`discard_stdout`)."""
        return self._descriptor

    def on_time(self, now_ms: int) -> int | None:
        """Write more of what was not taken yet; end where nobody reads any more."""
        if self._outlet.is_gone:
            if self._hang_up is None:
                leave_without_reader()
            self._hang_up()
            return None
        return None if self._outlet.flush() else now_ms + _FLUSH_MS

    def is_behind(self) -> bool:
        """Whether so little is not taken yet that it will be in a moment."""
        return 0 < self._outlet.kept <= _LITTLE

    def close(self) -> None:
        """Write the rest."""
        if self._closed:
            return
        self._closed = True
        self._outlet.close()
        if self._outlet.dropped:
            self._say(f"{self._outlet.dropped} bytes were not printed: nobody took them in time")


def open_stdout(
    stack: ExitStack,
    audience: Audience,
    say: Callable[[str], None],
    hang_up: Callable[[], None],
) -> Stdout:
    """Standard output, until `stack` is closed.

    Args:
        say: takes our own words.
        hang_up: told that it was a terminal, which was closed.
    """
    sys.stdout.flush()
    is_terminal = sys.stdout.isatty()
    stdout = Stdout(Outlet(sys.stdout.fileno()), say, hang_up if is_terminal else None)
    stack.callback(stdout.close)
    # Whoever else prints must not come between the halves of a line.
    stack.enter_context(redirect_stdout(stdout))
    audience.times.append(stdout)
    return stdout


def keyboard_front(stack: ExitStack, hang_up: Callable[[], None]) -> Front:
    """The board's keys, from the terminal; `hang_up` is told that it was closed."""
    keyboard = stack.enter_context(Keyboard(lost=hang_up))
    return Front(BoardKeys(), keyboard.read, [keyboard.fileno()])


def lines_front(
    stack: ExitStack,
    options: StreamOptions,
    names: Sequence[str],
    view: OnView,
    audience: Audience,
    hang_up: Callable[[], None],
    *,
    prints: bool = True,
) -> Front:
    """Lines on stdout, unless it has other work; the board's keys where there is a terminal."""
    at_terminal = sys.stdout.isatty() and Keyboard.available()
    front = keyboard_front(stack, hang_up) if at_terminal else Front()
    # Whatever its work is: a reader that is slow must not keep the ports from being read.
    stdout = open_stdout(stack, audience, front.say, hang_up)
    front.is_behind = stdout.is_behind
    if not prints:
        return front
    style = LineStyle(
        options.timestamps,
        options.include,
        options.exclude,
        options.colours == "keep",
        marks_of(names),
    )
    shown = _shown(options, audience)
    shown.blocks.append(LinePrinter(stdout.put, style, time.time_ns(), view))
    return front


def raw_front(
    stack: ExitStack,
    options: StreamOptions,
    names: Sequence[str],
    audience: Audience,
    hang_up: Callable[[], None],
) -> Front:
    """Bytes as they are, both ways."""
    front = Front()
    at_terminal = Keyboard.available() and sys.stdout.isatty()
    if at_terminal:
        keyboard = stack.enter_context(Keyboard(raw=True, lost=hang_up))
        front.read_keys = keyboard.read
        front.alarms.append(keyboard.fileno())
    stdout = open_stdout(stack, audience, front.say, hang_up)
    front.is_behind = stdout.is_behind
    if at_terminal:
        front.say = lambda text: stdout.put(f"\r\n-- {text}\r\n".encode())
        stack.callback(stdout.put, b"\x1b[0m\r\n")
    printer = _raw_printer(options, names, stdout, audience, at_terminal=at_terminal)
    conduct = RawConduct(
        options.menu_key,
        ctrl_c_quits=options.ctrl_c == "quit",
        pace=Pace(*options.pace),
    )
    if at_terminal:
        keys = RawKeys(names, conduct, printer, stdout.put, _read_file)
        front.keys, front.greeting = keys, keys.greeting
        front.polls_keys = False  # the keyboard is an alarm, and no key waits for a time
    elif PipedInput.available():
        front.read_keys, front.keys = PipedInput().read, PassOn(conduct.pace)
    return front


def _raw_printer(
    options: StreamOptions,
    names: Sequence[str],
    stdout: Stdout,
    audience: Audience,
    *,
    at_terminal: bool,
) -> RawPrinter | None:
    """What shows the bytes; None where lines are shown, of several ports or picked out."""
    shown = _shown(options, audience)
    colours = options.colours != "strip"
    if len(names) > 1 or options.include is not None or options.exclude is not None:
        style = LineStyle(
            options.timestamps,
            options.include,
            options.exclude,
            colours,
            marks_of(names),
            b"\r\n" if at_terminal else b"\n",
        )
        shown.blocks.append(LinePrinter(stdout.put, style, time.time_ns()))
        return None
    printer = RawPrinter(
        stdout.put,
        time.time_ns(),
        timestamps=options.timestamps,
        colours=colours,
        add_cr=options.add_cr,
        hexadecimal=options.hexadecimal,
        width=lambda: shutil.get_terminal_size().columns,
    )
    shown.prompt.append(printer)
    audience.times.append(printer)
    return printer


def _shown(options: StreamOptions, audience: Audience) -> Audience:
    """Where what a person sees comes from: masked, unless they asked for all of it."""
    if not options.show_secrets:
        return audience
    audience.clear = audience.clear or Audience()
    return audience.clear


def marks_of(names: Sequence[str]) -> Mapping[str, bytes] | None:
    """What stands before each port's lines, where there are several: its name, in a colour."""
    if len(names) < 2:
        return None
    short = [PurePath(name).name or name for name in names]
    if len(set(short)) < len(names):
        short = list(names)
    width = max(map(len, short))
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    marks = {}
    for index, (name, text) in enumerate(zip(names, short, strict=True)):
        mark = f"{text:<{width}} | "
        if coloured:
            mark = f"\x1b[{_COLOURS[index % len(_COLOURS)]}m{mark}\x1b[0m"
        marks[name] = mark.encode()
    return marks


def _read_file(name: str) -> bytes:
    try:
        return Path(name).expanduser().read_bytes()
    except OSError as error:
        raise EvtoolError(f"cannot read {name}: {error.strerror or error}") from error


def check_options(options: StreamOptions, *, as_json: bool) -> None:
    """Refuse options that contradict each other.

    Raises:
        click.UsageError: naming them.
    """
    raw = options.raw or options.hexadecimal
    if raw and as_json:
        raise click.UsageError("--raw and --json: bytes are no JSON lines; --log-raw keeps bytes")
    if raw and options.plain:
        raise click.UsageError("--raw and --plain: choose one")
    only_raw = {
        "--add-cr": options.add_cr,
        "--pace": options.pace != (0, 0),
        "--paste": options.paste is not None,
        "--ctrl-c board": options.ctrl_c == "board",
    }
    for name, given in only_raw.items():
        if given and not raw:
            raise click.UsageError(f"{name} goes with --raw")
    if options.log_path is None and (options.log_rotate.is_wanted or options.log_raw):
        raise click.UsageError("--log-rotate and --log-raw say how to keep a log: name its --log")
    if options.show_secrets and as_json:
        raise click.UsageError("--show-secrets shows them to a person: not with --json")
