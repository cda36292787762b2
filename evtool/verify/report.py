# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts as text for people and as values for `--json`."""

from __future__ import annotations

from evtool.verify.ocpp.outcome import WireOutcome
from evtool.verify.verdict import Difference, GaveUp, Verdict

_SHOWN = 12


def headline(verdict: Verdict) -> str:
    """One line: the scenario, and the first thing wrong with it."""
    name = f"{verdict.scenario.name:32}"
    if verdict.not_run:
        return f"  -     {name} not run: {verdict.not_run}"
    if verdict.passed:
        if verdict.wire is not None:
            known = [each.name for each in verdict.wire.explained]
            more = f"; departures: {', '.join(known[:_SHOWN])}" if known else ""
            more += f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            return f"  ok    {name} {verdict.steps} messages{more}"
        return f"  ok    {name} {verdict.steps} steps"
    return f"  FAIL  {name} {first_wrong(verdict)}"


def explanation(verdict: Verdict) -> str:
    """Everything a reader needs to find the fault; empty where there is none."""
    lines = []
    if not verdict.wrong:
        return ""
    lines.append(f"{verdict.scenario.name}: {verdict.scenario.title}")
    lines.append(f"  rule: {verdict.scenario.rule}")
    for missed in verdict.failed[:_SHOWN]:
        where = f"{verdict.scenario.path}:{missed.line}"
        lines.append(f"  at {seconds(missed.at_ms)} ({where}): {missed}")
    if len(verdict.failed) > _SHOWN:
        lines.append(f"  and {len(verdict.failed) - _SHOWN} more")
    if verdict.difference is not None:
        lines += _explain(verdict.difference)
    if verdict.ended is not None:
        lines += _explain_end(verdict.device, verdict.ended)
    if verdict.wire is not None:
        lines += _explain_wire(verdict.wire)
    lines += [f"  not judged: {each}" for each in verdict.not_judged]
    if verdict.tolerances is not None:
        allowed = ", ".join(f"{name} {value}" for name, value in verdict.tolerances.items())
        lines.append(f"  tolerances: {allowed}")
    return "\n".join(lines)


def _explain(difference: Difference) -> list[str]:
    lines = [f"  first difference at {seconds(difference.now_ms)}, step {difference.step}:"]
    lines += [f"    {each}" for each in difference.fields[:8]]
    if len(difference.fields) > 8:
        lines.append(f"    and {len(difference.fields) - 8} more")
    lines.append("  the last inputs:")
    lines += [f"    {line}" for line in difference.history]
    lines.append(f"  {'state':20} {'reference':>24} {'device':>24}")
    for name, ours in difference.reference_state.items():
        theirs = difference.device_state.get(name, "(nothing)")
        mark = " " if ours == theirs else "*"
        lines.append(f"  {mark} {name:18} {ours:>24} {theirs:>24}")
    return lines


def _explain_wire(wire: WireOutcome) -> list[str]:
    lines = [f"  at {seconds(each.at_ms)} {each}" for each in wire.unexplained[:_SHOWN]]
    if len(wire.unexplained) > _SHOWN:
        lines.append(f"  and {len(wire.unexplained) - _SHOWN} more")
    lines += [f"  {line}" for line in wire.sides]
    lines += [
        f"  known departure {each.name}, {each.count} times: {each.title}"
        for each in wire.explained
    ]
    return lines


def _explain_end(device: str, ended: GaveUp) -> list[str]:
    return [
        f"  {device} gave up at {seconds(ended.now_ms)}, step {ended.step}:",
        f"    {ended.reason}",
        "  the last inputs:",
        *(f"    {line}" for line in ended.history),
    ]


def first_wrong(verdict: Verdict) -> str:
    """When the first thing went wrong, and what; asked only where something did."""
    if verdict.difference is not None:
        difference = verdict.difference
        return f"at {seconds(difference.now_ms)} {difference.fields[0]}"
    if verdict.ended is not None:
        return f"at {seconds(verdict.ended.now_ms)} {verdict.ended.reason.splitlines()[0]}"
    if verdict.wire is not None and verdict.wire.unexplained:
        first = verdict.wire.unexplained[0]
        return f"at {seconds(first.at_ms)} {first}"
    return f"at {seconds(verdict.failed[0].at_ms)} {verdict.failed[0]}"


def seconds(time_ms: int) -> str:
    """`12.345 s` for milliseconds."""
    return f"{time_ms // 1000}.{time_ms % 1000:03} s"


def as_document(verdict: Verdict) -> dict[str, object]:
    """The verdict for `--json`; times in milliseconds."""
    difference = verdict.difference
    return {
        "scenario": verdict.scenario.name,
        "title": verdict.scenario.title,
        "rule": verdict.scenario.rule,
        "device": verdict.device,
        "passed": None if verdict.not_run else verdict.passed,
        "not_run": verdict.not_run or None,
        "steps": verdict.steps,
        "seconds": round(verdict.seconds, 3),
        "ended": None
        if verdict.ended is None
        else {
            "reason": verdict.ended.reason,
            "time_ms": verdict.ended.now_ms,
            "step": verdict.ended.step,
            "input": verdict.ended.line,
            "history": list(verdict.ended.history),
        },
        "failed_expectations": [
            {
                "at_ms": missed.at_ms,
                "line": missed.line,
                "field": missed.field,
                "expected": missed.expected,
                missed.who: missed.actual,
            }
            for missed in verdict.failed
        ],
        "first_difference": None
        if difference is None
        else {
            "time_ms": difference.now_ms,
            "step": difference.step,
            "input": difference.line,
            "fields": [
                {"field": each.field, "reference": each.reference, "device": each.device}
                for each in difference.fields
            ],
            "history": list(difference.history),
            "reference_state": difference.reference_state,
            "device_state": difference.device_state,
        },
        "not_judged": list(verdict.not_judged),
        "tolerances": None if verdict.tolerances is None else dict(verdict.tolerances),
        "wire": None if verdict.wire is None else verdict.wire.as_document(),
    }
