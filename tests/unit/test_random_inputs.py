# SPDX-License-Identifier: GPL-3.0-or-later
"""The random inputs meet the limits of the rules, and repeat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.controller_types import MAX_TIME_MS, Config
from evtool.reference_impl.line_format import parse_command
from evtool.reference_impl.random_inputs import random_lines

CHUNK = 5000
SEEDS = range(10)
# What begins a line, and the ages in ms at which what it says ends.
LIMITS = {
    "request": ("1806E5F4", (3000, 5000)),
    "word": ("ocpp", (5000,)),
    "terminal": ("00433F01", (2000, 3000)),
    "capacity": ("160B8001", (10000,)),
    "discharge": ("160D8001", (10000,)),
    "status": ("00473F01", (3000,)),
    "heartbeat": ("18FF50E5", (3000,)),
    "control": ("0681817E", (3000,)),
    "telemetry": ("0681827E", (3000,)),
    "temperature": ("0681827E x d 8 0180", (3000,)),
    "start": ("boot", (3000, 5000)),
}


def split(seed: int, count: int = CHUNK) -> Iterator[tuple[int, str]]:
    for line in random_lines(seed, count):
        stamp, _, text = line.partition(" ")
        yield int(stamp[1:]), text


def test_a_seed_repeats_and_a_longer_run_begins_with_the_same() -> None:
    for seed in SEEDS:
        lines = list(random_lines(seed, CHUNK))
        assert len(lines) == CHUNK
        assert list(random_lines(seed, 777)) == lines[:777]
    assert list(random_lines(1, 50)) != list(random_lines(2, 50))


def test_every_line_is_understood() -> None:
    for seed in range(1000, 1060):
        config = Config()
        for _, text in split(seed):
            command = parse_command(text, config)
            assert not isinstance(command, Malformed), (seed, text)
            config = command if isinstance(command, Config) else config


def test_ages_come_to_lie_under_on_and_above_their_limits() -> None:
    met: dict[str, set[int]] = defaultdict(set)
    for seed in SEEDS:
        said_ms: dict[str, int] = {}
        for now_ms, text in split(seed):
            for name, (begin, _) in LIMITS.items():
                if name in said_ms:
                    met[name].add(now_ms - said_ms[name])
                if text.removeprefix("can 0 ").removeprefix("can 1 ").startswith(begin):
                    said_ms[name] = now_ms
    for name, (_, limits) in LIMITS.items():
        wanted = {limit_ms + near for limit_ms in limits for near in (-1, 0, 1)}
        assert wanted <= met[name], name


def test_time_stands_still_jumps_goes_back_and_ends() -> None:
    steps: set[int] = set()
    times: set[int] = set()
    for seed in range(60):
        these = [now_ms for now_ms, _ in split(seed)]
        times.update(these)
        steps.update(after - before for before, after in pairwise(these))
    assert {0, 1, 20, 200, 500, 2**31, 2**32, 365 * 24 * 3600 * 1000} <= steps
    assert {-1, -20} <= steps
    assert MAX_TIME_MS in times
    assert any(2**53 < now_ms < MAX_TIME_MS for now_ms in times)
