# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor replay`: a recorded console as any view, at any speed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.monitor_options import collect
from evtool.cli.monitor_script_options import elf_option
from evtool.cli.monitor_view_options import ReplayOptions, shown_options
from evtool.cli.options import project_option
from evtool.cli.output import Output, json_option, narrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from evtool.cli.monitor_panic import PanicDecoding
    from evtool.cli.monitor_screen import Screen
    from evtool.link.interrupts import Interrupts
    from evtool.monitor.display import Display
    from evtool.monitor.follow import Line
    from evtool.monitor.stream import Audience
    from evtool.protocol.console_log import ConsoleLog

_DRAW_MS = 200
_LONGEST_PAUSE_MS = 5_000

EPILOG = """\b
Examples:
  evtool monitor replay run.log --view terminal --speed 10
  evtool monitor replay run.log --speed max --csv run.csv --plot run.html

\b
Exit codes:
  0    played to the end, or q was pressed
  1    an output cannot be written
  2    fix the option that the message names; or there is nothing in the log
  130  stopped with Ctrl-C
"""


def _speed(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None or value == "max":
        return None if value is None else float("inf")
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0.01 <= speed <= 100_000:  # NaN is neither
        raise click.BadParameter(f"{value!r} is no speed: 1, 10, 0.5 or max")
    return speed


@click.command("replay", epilog=EPILOG)
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shown_options
@click.option(
    "--speed",
    callback=_speed,
    metavar="FACTOR",
    help="1, 10, 0.5, or max (default: 1 with tables on a terminal, else max).",
)
@click.option("--port", metavar="NAME", help="Of a log of several ports, this one alone.")
@click.option("--timestamps", is_flag=True, help="Begin each printed line with its time.")
@click.option("--plain", is_flag=True, help="Print lines in a terminal too, instead of tables.")
@elf_option
@project_option
@json_option
def command(
    log: Path,
    *,
    elf: tuple[Path, ...],
    project_path: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Play a recorded console: any view, at any speed.

    LOG is what --log or --jsonl wrote, what `evtool monitor --json` printed, or what another
    terminal program kept, with times before its lines or without any: then the views are the
    clock, which print once a second.

    In a terminal the keys 1-5 and 0 choose the view, the space bar pauses, q ends. Pauses of
    the log longer than 5 s are cut to that. Secrets of the project are masked, and panics
    decoded, as in a live watch.
    """
    _Replay(log, collect(ReplayOptions, values), elf, project_path, as_json=as_json).run()


@dataclass(slots=True)
class _Clock:
    """The log's time, which runs `speed` times as fast as the host's.

    Attributes:
        now_ms: the log's time now; the host's when that was true is `at_ms`.
    """

    speed: float
    now_ms: int = 0
    at_ms: int = 0
    paused: bool = False

    def pass_time(self, host_ms: int) -> None:
        """The host's clock has come to `host_ms`."""
        if not self.paused and self.speed != float("inf"):
            self.now_ms += round((host_ms - self.at_ms) * self.speed)
        self.at_ms = host_ms

    def jump(self, now_ms: int) -> None:
        """Nothing is in the log until `now_ms`."""
        self.now_ms = now_ms


class _Replay:
    """One log, played once."""

    def __init__(
        self,
        path: Path,
        options: ReplayOptions,
        elf: tuple[Path, ...],
        project_path: Path | None,
        *,
        as_json: bool,
    ) -> None:
        from evtool.cli.monitor_outputs import check_outputs

        check_outputs(options, as_json=as_json, others={"the log": path})
        self._path = path
        self._options = options
        self._elf = elf
        self._project_path = project_path
        self._as_json = as_json
        self._screen: Screen | None = None
        self._keys: Callable[[], bytes] = bytes
        self._clock = _Clock(1.0)
        self._ended = False
        self._interrupts: Interrupts | None = None
        self._panics: PanicDecoding | None = None

    def run(self) -> None:
        """Play it.

        Raises:
            ConfigError: there is nothing in the log, or it is no text.
            EvtoolError: an output cannot be written.
        """
        from contextlib import ExitStack

        from evtool.cli.console_log_file import log_lines
        from evtool.cli.monitor_outputs import open_outputs, unix_stamp
        from evtool.cli.monitor_panic import decoding
        from evtool.cli.monitor_secrets import known_secrets
        from evtool.errors import ConfigError
        from evtool.link.interrupts import end
        from evtool.monitor.redact import text_mask
        from evtool.monitor.stream import Audience
        from evtool.protocol.console_log import read_console_log

        with self._path.open("rb") as stream, ExitStack() as stack:
            log = read_console_log(log_lines(stream, self._path))
            audience = Audience()
            stamp = unix_stamp if log.dated else _seconds
            name = self._path.name
            display = self._display(stack, log)
            open_outputs(
                self._options,
                audience,
                stack,
                stamp,
                dated=log.dated,
                source=name,
                note=self._note(display),
            )
            secrets = known_secrets(self._project_path)
            mask = text_mask(secrets)
            output = Output(self._as_json)
            panics = decoding(
                self._elf,
                self._project_path,
                output,
                display.note,
                mask,
                now_ms=self._log_ms,
                hurried=lambda: self._ended,
            )
            if self._screen is not None:  # which keys may end meanwhile
                self._panics = panics
                panics.waits = False
            audience.lines.append(stack.enter_context(panics))
            played = self._play(self._lines(log, secrets), display, audience)
            if not played:
                what = f"of port {self._options.port} " if self._options.port else ""
                raise ConfigError(
                    f"{self._path}: holds no line {what}of a board",
                    fix="give a log of --log or --jsonl, or any text that a board printed",
                )
            if self._screen is not None:
                self._stay(self._screen)
        if self._interrupts is not None and self._interrupts.received is not None:
            end(self._interrupts.received)

    def _lines(self, log: ConsoleLog, secrets: Sequence[str]) -> Iterator[Line]:
        """The board's lines, masked."""
        from evtool.monitor.follow import read_line
        from evtool.monitor.redact import LineRedactor

        ports: dict[str, LineRedactor[int]] = {}
        for each in log.lines:
            if self._options.port not in (None, each.port):
                continue
            if each.port not in ports:
                ports[each.port] = LineRedactor(secrets)
            for at_ms, text in ports[each.port].feed(each.at_ms, each.text):
                yield read_line(text, at_ms, at_ms * 1_000_000, each.port)
        for port, redactor in ports.items():
            for at_ms, text in redactor.finish():
                yield read_line(text, at_ms, at_ms * 1_000_000, port)

    def _display(self, stack: ExitStack, log: ConsoleLog) -> Display:
        """What the lines are shown by, and how fast."""
        from evtool.cli.monitor_lines import JsonLines, Silent, TextLines
        from evtool.cli.monitor_outputs import STDOUT
        from evtool.link.interrupts import Interrupts
        from evtool.link.keyboard import Keyboard
        from evtool.link.terminal import Terminal

        options = self._options
        self._clock.speed = float("inf") if options.speed is None else options.speed
        if self._as_json:
            return JsonLines(Output(as_json=True), self._log_ms, str(self._path))
        if options.jsonl_path == STDOUT:
            return Silent()
        fast = options.speed == float("inf")
        usable = sys.stdout.isatty() and Terminal.available() and Keyboard.available()
        if usable and not options.plain and not fast:
            from evtool.cli.monitor_screen import Screen, limits_of
            from evtool.monitor.views import ALL, VIEW_RECORDS

            self._clock.speed = options.speed or 1.0
            self._interrupts = stack.enter_context(Interrupts())
            self._keys = stack.enter_context(Keyboard(lost=self._interrupts.hang_up)).read
            wanted = {name for key in options.views or (ALL,) for name in VIEW_RECORDS[key]}
            records = tuple(name for name in VIEW_RECORDS[ALL] if name in wanted)
            screen = Screen(Terminal(), self._path.name, records, limits_of(self._project_path))
            self._screen = stack.enter_context(screen)
            screen.note("connected", "")
            return screen
        return TextLines(self._log_ms, timestamps=options.timestamps)

    def _log_ms(self) -> int:
        return self._clock.now_ms

    def _play(self, lines: Iterator[Line], display: Display, audience: Audience) -> bool:
        """Play every line when it is due; whether there was any."""
        from evtool.link.clock import monotonic_ms

        played = False
        shown = _records_of(self._options.views)
        for line in lines:
            if not played:
                played = True
                self._clock.jump(line.at_ms)
                self._clock.at_ms = monotonic_ms()
            if line.at_ms - self._clock.now_ms > _LONGEST_PAUSE_MS:
                self._clock.jump(line.at_ms - _LONGEST_PAUSE_MS)
            self._wait_for(line.at_ms)
            if self._ended:
                break
            if self._clock.speed == float("inf"):
                self._clock.jump(max(line.at_ms, self._clock.now_ms))
            for consumer in audience.lines:
                consumer.on_lines([line])
            if line.is_telling:
                for consumer in audience.telling:
                    consumer.on_lines([line])
            record = line.record
            on_view = record is None or record.name == "event" or record.name in shown
            if on_view or self._screen is not None:  # the screen's view may still be changed
                display.show(line)
        return played

    def _wait_for(self, at_ms: int) -> None:
        """Let time pass until the log has come to `at_ms`."""
        import time

        from evtool.link.clock import monotonic_ms

        while not self._ended and self._clock.speed != float("inf"):
            self._clock.pass_time(monotonic_ms())
            self._look_after_screen()
            missing_ms = (at_ms - self._clock.now_ms) / self._clock.speed
            if missing_ms <= 0 and not self._clock.paused:
                return
            time.sleep(0.05 if self._clock.paused else min(0.05, missing_ms / 1000))

    def _look_after_screen(self) -> None:
        screen = self._screen
        if screen is None:
            return
        self._heed_signals()
        for key in self._keys().decode("latin-1").lower():
            if key in "q\x04":
                self._ended = True
            elif key == " ":
                self._clock.paused = not self._clock.paused
            else:
                screen.press(key)
        self._show_panics()
        speed = f"{self._clock.speed:g} times" if self._clock.speed != 1 else "as it was"
        how = "paused" if self._clock.paused else f"played {speed}"
        screen.state(f"{how}; 1-5 0 view, space pause, q quit")
        screen.draw_every(_DRAW_MS, self._clock.at_ms, self._clock.now_ms)

    def _heed_signals(self) -> None:
        if self._interrupts is not None and self._interrupts.received is not None:
            self._ended = True

    def _note(self, display: Display) -> Callable[[str, str], None]:
        """Where evtool's own words go: onto the screen where there is one, else to stderr."""
        if self._screen is not None:
            return display.note
        return lambda event, text: narrate(f"evtool: {text}")

    def _show_panics(self) -> None:
        """Those that are decoded by now."""
        if self._panics is not None:
            self._panics.on_time(self._clock.now_ms)

    def _stay(self, screen: Screen) -> None:
        """The last picture stands until somebody has seen it."""
        import time

        from evtool.link.clock import monotonic_ms

        while not self._ended:
            self._heed_signals()
            for key in self._keys().decode("latin-1").lower():
                self._ended = self._ended or key in "q\x04"
                screen.press(key)
            self._show_panics()
            screen.state("the log's end; q quit")
            screen.draw_every(_DRAW_MS, monotonic_ms(), self._clock.now_ms)
            time.sleep(0.05)


def _records_of(views: tuple[str, ...]) -> frozenset[str]:
    from evtool.monitor.views import ALL, VIEW_RECORDS

    return frozenset(name for key in views or (ALL,) for name in VIEW_RECORDS[key])


def _seconds(line: Line) -> str:
    """The time of a line in a log without a date."""
    return f"{line.at_ns / 1e9:.3f}"
