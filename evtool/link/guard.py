# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands between evtool and a program that must not outlive it, even where evtool is killed.

A file to be run, by `evtool.link.command`: `python guard.py DESCRIPTOR PROGRAM [ARGUMENT]...`,
as the leader of a process group. When the descriptor, the end of a pipe, says that evtool is
gone, the whole group is killed. Otherwise it ends as the program does.

PlatformIO needs it: when nobody reads its output any more it waits for ever, with the lock of
the build in its hands. Nothing but the standard library is imported, since a start counts.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(descriptor: int, command: list[str]) -> None:
    """Run `command`; does not return."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    program = os.fork()
    if program == 0:
        _become(command, descriptor, before)
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # the program gets them too, and decides
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    news = select.poll()
    news.register(descriptor, select.POLLIN)
    news.register(woken, select.POLLIN)
    while True:
        ready = [number for number, _ in news.poll()]
        if descriptor in ready:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.read(woken, 4096)
        ended, status = os.waitpid(program, os.WNOHANG)
        if ended:
            _end_like(status)


def _become(command: list[str], descriptor: int, mask: set[int]) -> None:
    signal.set_wakeup_fd(-1)
    # Python ignores these two, and a program would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # what has come meanwhile ends it here
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
