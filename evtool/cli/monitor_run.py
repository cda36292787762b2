# SPDX-License-Identifier: GPL-3.0-or-later
"""Wires one run of `evtool monitor`: ports, keyboard, display, log, and who else listens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from evtool.cli.monitor_ending import Ending
    from evtool.cli.monitor_front import Front
    from evtool.cli.monitor_options import StreamOptions
    from evtool.cli.monitor_screen import Screen
    from evtool.cli.monitor_script import Scripted
    from evtool.cli.monitor_script_options import ScriptOptions
    from evtool.cli.monitor_view_options import ViewOptions
    from evtool.monitor.goal import Goal
    from evtool.monitor.on_view import OnView
    from evtool.monitor.stream import Audience
    from evtool.monitor.watched_console import Port
    from evtool.monitor.wiring import Conduct


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
    from evtool.cli.monitor_front import check_options
    from evtool.cli.monitor_outputs import check_outputs
    from evtool.cli.monitor_secrets import known_secrets
    from evtool.errors import EvtoolError
    from evtool.monitor.redact import mask_error, text_mask, written_mask

    check_options(order.stream, as_json=order.as_json)
    others = {"--log": order.stream.log_path, "--junit": order.script.junit}
    check_outputs(order.view, as_json=order.as_json, others=others)
    if order.stream.is_raw and order.view.jsonl_path == Path("-"):
        raise click.UsageError("--raw and --jsonl -: stdout can be one of them")
    goal, view_key = _goal(order.view, order.script, raw=order.stream.is_raw)
    secrets: list[str] = []
    scripted = None
    try:
        secrets += known_secrets(order.project_path)
        scripted = _script(order, secrets)
        _watch(order, goal, view_key, secrets, scripted)
    except EvtoolError as error:
        mask_error(error, written_mask(text_mask(secrets)))
        if scripted is not None:
            scripted.was_not_begun(error)
        elif order.script.junit is not None:
            from evtool.cli.monitor_script import write_error

            write_error(order.script.junit, error.message)
        raise


def _watch(
    order: Order, goal: Goal, view_key: str, secrets: list[str], scripted: Scripted | None
) -> None:
    """Find the ports, wire everything, and watch."""
    import gc
    import time
    from contextlib import ExitStack

    from evtool.cli.monitor_ending import Ending
    from evtool.cli.monitor_log import add_log
    from evtool.cli.monitor_ports import NamedPorts, Search
    from evtool.cli.show_secrets import may_show
    from evtool.link import clock
    from evtool.link.interrupts import Interrupts, end
    from evtool.link.port_opener import PortOpener
    from evtool.link.port_waiter import PortWaiter
    from evtool.link.processor_alarm import ProcessorAlarm
    from evtool.monitor.on_view import OnView
    from evtool.monitor.redact import Redactor
    from evtool.monitor.search import tick
    from evtool.monitor.session import Session
    from evtool.monitor.stream import Audience
    from evtool.monitor.wiring import Wiring

    stream = order.stream
    if stream.show_secrets and not may_show(
        "Show this project's secrets on the screen?", without_asking=None
    ):
        stream = replace(stream, show_secrets=False)
        order = replace(order, stream=stream)
    search = Search(
        order.project_path, stream.find_timeout, stream.reset, Output(order.as_json).say
    )
    ports = NamedPorts(stream.serial_ports, search)
    view = OnView(view_key, goal.records)
    with ExitStack() as outer, ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(ProcessorAlarm(tick))
        opener = stack.enter_context(PortOpener(stream.baudrate, ports.find))
        audience = Audience()
        add_log(stack, stream, ports.names, audience)
        front, screen = _front(
            stack,
            order,
            ports.names,
            view,
            audience,
            interrupts.hang_up,
            scripted=scripted is not None,
        )
        note = screen.note if screen is not None else front.note
        ending = Ending(interrupts, note, shows_tables=screen is not None)
        outer.callback(ending.tell)
        _add_listeners(order, stack, audience, ending, secrets)
        stack.callback(ending.begin)
        waiter: PortWaiter[Port] = stack.enter_context(
            PortWaiter([interrupts.fileno(), *front.alarms])
        )
        wiring = Wiring(
            open_port=opener.open,
            waiter=waiter,
            now_ms=clock.monotonic_ms,
            now_ns=time.time_ns,
            keys=front.read_keys,
            stopped=lambda: interrupts.received is not None,
            redactor=lambda: Redactor(secrets),
            polls_keys=front.polls_keys,
            can_return=opener.can_return,
            is_behind=front.is_behind,
        )
        session = Session(
            wiring,
            ports.names,
            goal=goal,
            view=view,
            conduct=_conduct(order, scripted=scripted is not None),
            display=screen,
            audience=audience,
            keys=front.keys,
        )
        ending.of(session)
        gc.freeze()  # what is imported stays: no collection need look at it between two readings
        if scripted is None:
            session.run()
        else:
            scripted.attach(audience, session, ports.names)
            scripted.watch(session.run, lambda: interrupts.received is not None)
    if interrupts.received is not None:
        end(interrupts.received)


def _script(order: Order, secrets: list[str]) -> Scripted | None:
    """The script that was asked for, read and checked; its secrets are added to `secrets`."""
    from evtool.cli.monitor_script_options import has_script

    if not has_script(order.script):
        return None
    from evtool.cli.monitor_script import Scripted
    from evtool.link.clock import monotonic_ms

    return Scripted(order.script, Output(order.as_json), secrets, monotonic_ms)


def _conduct(order: Order, *, scripted: bool) -> Conduct:
    """How the watch behaves."""
    from evtool.monitor.outgoing import Pace
    from evtool.monitor.wiring import Conduct

    stream = order.stream
    return Conduct(
        ask_view=not stream.is_raw or bool(order.view.views),
        send=b"" if scripted else order.script.send.encode(),
        paste=b"" if stream.paste is None else stream.paste.read_bytes(),
        pace=Pace(*stream.pace),
        reconnect=not stream.no_reconnect,
        reset=stream.reset,
        keep_waiting=stream.is_raw,
        goes_on=not scripted,
    )


def _front(
    stack: ExitStack,
    order: Order,
    names: Sequence[str],
    view: OnView,
    audience: Audience,
    hang_up: Callable[[], None],
    *,
    scripted: bool,
) -> tuple[Front, Screen | None]:
    """What the user sees and types at; the screen, where there is one."""
    from evtool.cli import monitor_front as fronts

    stream = order.stream
    if order.as_json:
        from evtool.cli.monitor_lines import LiveJsonLines

        # What is lost is said in any case, on stderr.
        stdout = fronts.open_stdout(stack, audience, fronts.Front().say, hang_up)
        lines = LiveJsonLines(stdout.put, view, several=len(names) > 1)
        audience.lines.append(lines)
        audience.news.append(lines)
        return fronts.Front(), None
    if stream.is_raw:
        front = fronts.raw_front(stack, stream, names, audience, hang_up)
        audience.news.append(fronts.Narration(front))
        return front, None
    screen = None
    if not scripted and len(names) == 1 and _has_screen(order):
        # The keyboard first: the screen is given back before it.
        front = fronts.keyboard_front(stack, hang_up)
        screen = _screen(stack, order, names[0], view)
    else:
        prints = order.view.jsonl_path != Path("-")
        front = fronts.lines_front(stack, stream, names, view, audience, hang_up, prints=prints)
        audience.news.append(fronts.Narration(front))
    if front.keys is not None:
        front.read_keys = _typed_keys(front.read_keys, screen, order, audience)
    return front, screen


def _has_screen(order: Order) -> bool:
    """Whether there is a terminal for live tables, and they are wanted."""
    from evtool.link.keyboard import Keyboard
    from evtool.link.terminal import Terminal

    wanted = not order.stream.wants_lines and order.view.jsonl_path != Path("-")
    return wanted and Terminal.available() and Keyboard.available()


def _screen(stack: ExitStack, order: Order, name: str, view: OnView) -> Screen:
    """The live tables."""
    from evtool.cli.monitor_screen import Screen, limits_of
    from evtool.link.terminal import Terminal

    screen = Screen(Terminal(), name, view.records, limits_of(order.project_path))
    return stack.enter_context(screen)


def _add_listeners(
    order: Order,
    stack: ExitStack,
    audience: Audience,
    ending: Ending,
    secrets: Sequence[str],
) -> None:
    """Who listens beside the front and the log. What must be closed goes onto `stack`."""
    from evtool.cli.monitor_outputs import open_outputs
    from evtool.cli.monitor_panic import decoding
    from evtool.monitor.redact import text_mask

    open_outputs(order.view, audience, stack, note=ending.note)
    output = Output(order.as_json)
    panics = decoding(
        order.script.elf,
        order.project_path,
        output,
        ending.note,
        text_mask(secrets),
        hurried=ending.hurried,
    )
    stack.enter_context(panics).attach(audience)


def _typed_keys(
    read: Callable[[], bytes], screen: Screen | None, order: Order, audience: Audience
) -> Callable[[], bytes]:
    """The keyboard, with a question before a key that switches power."""
    from evtool.cli.monitor_keys import TypedKeys, ask_on_stderr
    from evtool.link.clock import monotonic_ms

    typed = TypedKeys(
        read,
        monotonic_ms,
        order.stream.serial_port,
        ask_on_stderr() if screen is None else screen.ask,
        wanted=not order.view.yes,
    )
    audience.batches.append(typed)
    audience.events.append(typed)
    audience.news.append(typed)
    return typed.read


def _goal(view: ViewOptions, script: ScriptOptions, *, raw: bool) -> tuple[Goal, str]:
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
    if raw and not view.views and count is None:
        wanted = set()  # nothing is asked for, and nothing is expected
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
