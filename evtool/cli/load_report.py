# SPDX-License-Identifier: GPL-3.0-or-later
"""What a load test tells while it runs, and in the end."""

from __future__ import annotations

import resource
import sys
import time

import click

from evtool.cli.fleet import Fleet
from evtool.cli.output import Output
from evtool.reference_impl.fleet.tally import Tally

_CLEAR = "\r\x1b[K"


class LoadReport:
    """Progress once in a while, and the sums.

    Args:
        count: how many charge points there are to be.
    """

    def __init__(self, output: Output, fleet: Fleet, tally: Tally, count: int) -> None:
        self._output = output
        self._fleet = fleet
        self._tally = tally
        self._count = count
        self._begin = self._last = time.monotonic()
        self._last_cpu = time.process_time()
        self._is_line_open = False
        self.redraws = sys.stderr.isatty() and not output.as_json

    def tell(self) -> None:
        """How it goes: since the last time, and the errors since the start."""
        now, cpu = time.monotonic(), time.process_time()
        span = max(now - self._last, 1e-3)
        share = (cpu - self._last_cpu) / span
        self._last, self._last_cpu = now, cpu
        recent = self._tally.take_recent()
        connected, charging = self._fleet.count_connected(), self._fleet.count_charging()
        latency = recent.describe()
        rate = recent.count / span
        self._output.event(
            "progress",
            seconds=round(now - self._begin, 1),
            connected=connected,
            charging=charging,
            calls_per_s=round(rate, 1),
            latency_ms=latency,
            errors=dict(self._tally.errors.most_common()),
            cpu_share=round(share, 3),
            memory_mb=memory_mb(),
        )
        errors = sum(self._tally.errors.values())
        self._say(
            f"{now - self._begin:6.0f} s  {connected}/{self._count} connected, "
            f"{charging} charging, {rate:.0f} calls/s, p50 {latency['p50']:.1f} ms, "
            f"p99 {latency['p99']:.1f} ms, "
            f"{errors} errors; this process: {share:.0%} of a core, {memory_mb()} MB"
        )

    def note(self, text: str) -> None:
        """A line of its own."""
        self._end_line()
        self._output.say(text)

    def conclude(self, undone: int) -> None:
        """The sums; `undone` stations had to leave in the middle of something."""
        self._end_line()
        document: dict[str, object] = {
            "event": "summary",
            "seconds": round(time.monotonic() - self._begin, 1),
            "charge_points": self._count,
            "undone": undone,
            **self._tally.describe(),
        }
        self._output.result("\n".join(self._table(undone)), document)

    def _table(self, undone: int) -> list[str]:
        tally = self._tally
        lines = [f"{'Call':<24}{'sent':>10}{'answered':>10}{'p50 ms':>10}{'p99 ms':>10}{'max':>10}"]
        for action, sent in sorted(tally.sent.items()):
            found = tally.latencies[action]
            shown = [found.percentile_ms(50), found.percentile_ms(99), found.longest_ms]
            times = "".join(f"{each:>10.1f}" for each in shown)
            lines.append(f"{action:<24}{sent:>10}{found.count:>10}{times}")
        lines.append(
            f"{tally.opened} connections opened, {tally.closed} closed; "
            f"{tally.transactions} transactions"
        )
        lines += [f"{count:>8} x {cause}" for cause, count in tally.errors.most_common()]
        if undone:
            lines.append(f"{undone} charge points could not finish what they had to tell")
        return lines

    def _say(self, text: str) -> None:
        if self.redraws:
            click.echo(_CLEAR + text, nl=False, err=True)
            self._is_line_open = True
        else:
            self._output.say(text)

    def _end_line(self) -> None:
        if self._is_line_open:
            click.echo("", err=True)
            self._is_line_open = False


def memory_mb() -> int:
    """The most memory that this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
