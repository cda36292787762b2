# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocking calls: bounded, answered, and left behind by whoever ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from evtool.link.blocking_calls import BlockingCalls


def test_what_a_call_returns_or_raises() -> None:
    async def ask() -> None:
        calls = BlockingCalls(1)
        assert await calls.run(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await calls.run(lambda: 1 // 0)
        assert await calls.run(lambda: 8) == 8, "a failure gives its place back"

    asyncio.run(ask())


def test_one_that_was_given_up_keeps_its_place_until_it_ends() -> None:
    held, started = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        held.wait()

    async def ask() -> None:
        calls = BlockingCalls(1)
        first = asyncio.ensure_future(calls.run(hold))
        while not started.is_set():
            await asyncio.sleep(0)
        first.cancel()
        second = asyncio.ensure_future(calls.run(lambda: 2))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not second.done()
        held.set()
        assert await second == 2

    asyncio.run(ask())


def test_the_end_of_the_loop_does_not_wait() -> None:
    held, started = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        held.wait()

    async def ask() -> None:
        asking = asyncio.ensure_future(BlockingCalls(1).run(hold))
        while not started.is_set():
            await asyncio.sleep(0)
        asking.cancel()

    asyncio.run(ask())  # with asyncio.to_thread this would wait for `held`
    assert not held.is_set()
    held.set()
