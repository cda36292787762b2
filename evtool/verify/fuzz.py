# SPDX-License-Identifier: GPL-3.0-or-later
"""Long random runs in chunks, and what is done with a difference: shrunk, and kept as a file.

A chunk starts both controllers anew and follows from its seed alone, so chunks can run beside
each other, and a difference needs no more than its own chunk to happen again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from evtool.reference_impl.random_inputs import random_lines
from evtool.verify.device_under_test import DeviceUnderTest
from evtool.verify.raw_lines import render_lines_scenario
from evtool.verify.run import judge, random_scenario, reference_steps, run_random
from evtool.verify.shrink import shrink
from evtool.verify.verdict import Verdict

CHUNK_STEPS = 5_000
_SEED_STRIDE = 2**32
MAX_SEED = _SEED_STRIDE - 1
"""Seeds from 0 to here never share a chunk."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a random run."""

    seed: int
    steps: int

    def lines(self) -> list[str]:
        """The same ones every time."""
        return list(random_lines(self.seed, self.steps))


def chunks(seed: int, steps: int) -> Iterator[Chunk]:
    """The chunks of a run of `steps`; the first has the run's own seed."""
    for index, start in enumerate(range(0, steps, CHUNK_STEPS)):
        yield Chunk(seed + index * _SEED_STRIDE, min(CHUNK_STEPS, steps - start))


def run_chunk(chunk: Chunk, device: DeviceUnderTest) -> Verdict:
    """Give both the chunk's lines and compare."""
    return run_random(chunk.seed, chunk.steps, device)


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, and the few lines that make it.

    Attributes:
        lines: what is enough.
        found_in: how many lines it was found in.
        verdict: what those lines show.
    """

    lines: tuple[str, ...]
    found_in: int
    verdict: Verdict


def narrow(
    lines: Sequence[str],
    verdict: Verdict,
    device: DeviceUnderTest,
    out_of_time: Callable[[], bool],
    tell: Callable[[int], None],
) -> Finding:
    """Shrink `lines`, in which the device went wrong, to those that make it go wrong.

    What remains goes wrong in the same way: the same field differs first, or the device gives
    up. The times of the lines stay as they are.

    Args:
        verdict: what all of them showed.
        device: asked again for each candidate.
        tell: called with the number of lines whenever it has fallen.
    """
    kind = what_is_wrong(verdict)
    step = verdict.at_step
    cut = list(lines if step is None else lines[: step + 1])

    def fails(candidate: list[str]) -> bool:
        found = judge(verdict.scenario, device, reference_steps(candidate))
        if what_is_wrong(found) != kind:
            return False
        tell(len(candidate))
        return True

    # Most often nothing before the last start matters but the configuration.
    boot = max((n for n, line in enumerate(cut) if " boot " in line), default=0)
    configured = [line for line in cut[:boot] if " config " in line]
    if boot > len(configured) and not out_of_time() and fails(configured + cut[boot:]):
        cut = configured + cut[boot:]
    kept = shrink(cut, fails, out_of_time)
    shown = judge(verdict.scenario, device, reference_steps(kept))
    return Finding(tuple(kept), len(lines), replace(shown, seconds=verdict.seconds))


def what_is_wrong(verdict: Verdict) -> str | None:
    """What two verdicts must share to be about the same fault; None if nothing is wrong."""
    if verdict.difference is not None:
        return verdict.difference.fields[0].field
    return "gave up" if verdict.ended is not None else None


def render_finding(finding: Finding, found_by: str) -> str:
    """The scenario file that replays it.

    Args:
        found_by: the command that found it.
    """
    verdict = finding.verdict
    shown = "it does not happen again"
    if verdict.difference is not None:
        shown = str(verdict.difference.fields[0])
    elif verdict.ended is not None:
        shown = verdict.ended.reason.splitlines()[0]
    return render_lines_scenario(
        f"Found on {verdict.device}: {shown}",
        verdict.scenario.rule,
        finding.lines,
        (
            f"Found by: {found_by}",
            f"{len(finding.lines)} of the {finding.found_in} lines that it was found in.",
        ),
    )


def summary(seed: int, steps: int, device: str) -> Verdict:
    """The verdict on a whole run in which nothing was found."""
    return Verdict(random_scenario(seed, steps), device, steps)
