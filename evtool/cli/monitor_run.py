# SPDX-License-Identifier: GPL-3.0-or-later
"""Wires one run of `evtool monitor`: ports, keyboard, display, log, and who else listens."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from evtool.cli.monitor_options import StreamOptions
    from evtool.cli.monitor_script import Scripted
    from evtool.cli.monitor_script_options import ScriptOptions
    from evtool.cli.monitor_view_options import ViewOptions
    from evtool.monitor.goal import Goal
    from evtool.monitor.session import Display
    from evtool.monitor.stream import Audience


@dataclass(frozen=True)
class Order:
    """Everything that was asked for."""

    stream: StreamOptions
    view: ViewOptions
    script: ScriptOptions
    project_path: Path | None
    as_json: bool


def run(order: Order) -> None:
    """Watch to the end.

    Raises:
        EvtoolError: as `Session.run`.
        click.UsageError: options that contradict each other.
    """
    import time
    from contextlib import ExitStack

    from evtool.cli.monitor_outputs import check_outputs
    from evtool.cli.monitor_secrets import known_secrets
    from evtool.link import clock, serial_line
    from evtool.link.keyboard import Keyboard
    from evtool.monitor.redact import Redactor
    from evtool.monitor.session import Session, Wiring

    check_outputs(order.view, as_json=order.as_json)
    goal, view_key = _goal(order.view, order.script)
    secrets = known_secrets(order.project_path)
    scripted = _script(order, secrets)
    stream = order.stream
    with ExitStack() as stack:
        _end_on_signals(stack)
        log = _open_log(stack, stream.log_path)
        keyboard = None
        if not order.as_json and sys.stdout.isatty() and Keyboard.available():
            keyboard = stack.enter_context(Keyboard())
        plain = stream.plain or keyboard is None or scripted is not None
        display = _display(stack, order, goal, plain=plain)
        audience = _audience(order, stack, display)
        keys = None if keyboard is None else _typed_keys(keyboard.read, display, order, audience)
        wiring = Wiring(
            open_port=lambda: serial_line.open_serial_line(stream.serial_port, stream.baudrate),
            now_ms=clock.monotonic_ms,
            pause=time.sleep,
            keys=bytes if keys is None else keys,
            now_ns=time.time_ns,
            log=log,
        )
        session = Session(
            wiring,
            display,
            Redactor(secrets),
            port_name=stream.serial_port,
            goal=goal,
            view_key=view_key,
            send="" if scripted is not None else order.script.send,
            reconnect=not stream.no_reconnect,
            audience=audience,
        )
        if scripted is None:
            session.run()
        else:
            scripted.attach(audience, session, [stream.serial_port])
            scripted.watch(session.run)


def _script(order: Order, secrets: list[str]) -> Scripted | None:
    """The script that was asked for, read and checked."""
    from evtool.cli.monitor_script import Scripted, has_script
    from evtool.link.clock import monotonic_ms
    from evtool.monitor.redact import mask_text

    if not has_script(order.script):
        return None
    output = Output(order.as_json)
    return Scripted(order.script, output, lambda text: mask_text(text, secrets), monotonic_ms)


def _audience(order: Order, stack: ExitStack, display: Display) -> Audience:
    """Who listens beside the display and the log. What must be closed goes onto `stack`."""
    from evtool.cli.monitor_outputs import open_outputs, unix_stamp
    from evtool.cli.monitor_panic import decoding
    from evtool.monitor.stream import Audience

    audience = Audience()
    open_outputs(order.view, audience, stack, unix_stamp)
    output = Output(order.as_json)
    panics = decoding(order.script.elf, order.project_path, output, display.note)
    stack.enter_context(panics).attach(audience)
    return audience


def _typed_keys(
    read: Callable[[], bytes], display: Display, order: Order, audience: Audience
) -> Callable[[], bytes]:
    """The keyboard, with a question before a key that switches power."""
    from evtool.cli.monitor_keys import TypedKeys, ask_on_stderr
    from evtool.cli.monitor_screen import Screen
    from evtool.link.clock import monotonic_ms

    typed = TypedKeys(
        read,
        monotonic_ms,
        order.stream.serial_port,
        display.ask if isinstance(display, Screen) else ask_on_stderr(),
        wanted=not order.view.yes,
    )
    audience.lines.append(typed)
    audience.news.append(typed)
    return typed.read


def _goal(view: ViewOptions, script: ScriptOptions) -> tuple[Goal, str]:
    """What the options ask for, and the view's key; UsageError where they contradict."""
    from evtool.monitor.goal import Goal
    from evtool.monitor.views import ALL, MUTE, VIEW_RECORDS

    until, count = script.until, script.count
    duration_s, timeout_s = script.duration_s, script.timeout_s
    if duration_s is not None and (until is not None or count is not None):
        raise click.UsageError(
            "--for ends well in any case: use --timeout with --until and --count"
        )
    scripted = script.script is not None or bool(script.expect)
    if timeout_s is not None and until is None and count is None and not scripted:
        raise click.UsageError(
            "--timeout limits --until, --count, --expect and --script: --for ends after a time"
        )
    chosen = set(view.views or (ALL,))
    if MUTE in chosen and len(chosen) > 1:
        raise click.UsageError("--view 0 shows no view: it goes with no other")
    if MUTE in chosen and count is not None:
        raise click.UsageError("--count counts the records of a view: --view 0 has none")
    wanted = {name for key in chosen for name in VIEW_RECORDS[key]}
    goal = Goal(
        until=until,
        # a script judges what it hears by itself
        fail_on=None if scripted else script.fail_on,
        count=count,
        duration_ms=None if duration_s is None else round(duration_s * 1000),
        timeout_ms=None if timeout_s is None or scripted else round(timeout_s * 1000),
        records=tuple(name for name in VIEW_RECORDS[ALL] if name in wanted),
    )
    # the board shows one view or all: two are picked out of all
    return goal, chosen.pop() if len(chosen) == 1 else ALL


def _display(stack: ExitStack, order: Order, goal: Goal, *, plain: bool) -> Display:
    from evtool.link.clock import unix_ms

    serial_port = order.stream.serial_port
    if order.as_json:
        from evtool.cli.monitor_lines import JsonLines

        return JsonLines(Output(as_json=True), unix_ms, serial_port)
    if order.view.jsonl_path == Path("-"):
        from evtool.cli.monitor_lines import Silent

        return Silent()
    if not plain:
        from evtool.link.terminal import Terminal

        if Terminal.available():
            from evtool.cli.monitor_screen import Screen, limits_of

            screen = Screen(Terminal(), serial_port, goal.records, limits_of(order.project_path))
            return stack.enter_context(screen)
    from evtool.cli.monitor_lines import TextLines

    return TextLines(unix_ms, timestamps=order.stream.timestamps)


def _open_log(stack: ExitStack, path: Path | None) -> Callable[[str], None] | None:
    if path is None:
        return None
    from evtool.cli.monitor_lines import timestamp
    from evtool.link.clock import unix_ms
    from evtool.link.log_file import LogFile

    log = stack.enter_context(LogFile(path))
    return lambda line: log.append(f"{timestamp(unix_ms())} {line}")


def _end_on_signals(stack: ExitStack) -> None:
    """Let SIGTERM and SIGHUP unwind the stack, so that the terminal is given back."""
    import signal
    from types import FrameType

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        stack.callback(signal.signal, number, signal.signal(number, end))
