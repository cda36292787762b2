# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a script: for each step, whether it passed, when, and by which text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

PASSED, FAILED, ERROR, NOT_RUN = "passed", "failed", "error", "not_run"
# Characters that XML 1.0 cannot hold, in any escape.
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step.

    Attributes:
        number: its place in the run, from 1.
        file, line: where it stands; "" and 0 where an option gave it.
        source: the step as it is written.
        outcome: `passed`, `failed` (the board did not do it), `error` (the port, not the
            board: it is gone or silent), `not_run`.
        started_ms, ended_ms: since the script began; None where it was not run.
        text: the line, value or text that decided it.
        captures: the variables that it set.
        message: why it failed.
    """

    number: int
    file: str
    line: int
    source: str
    port: str = ""
    outcome: str = NOT_RUN
    started_ms: int | None = None
    ended_ms: int | None = None
    text: str = ""
    captures: Mapping[str, str] = field(default_factory=dict)
    message: str = ""

    @property
    def where(self) -> str:
        """`FILE:LINE`, or `option`."""
        return f"{self.file}:{self.line}" if self.file else "option"

    def as_dict(self) -> dict[str, object]:
        """The step for `--json`."""
        found: dict[str, object] = {
            "number": self.number,
            "where": self.where,
            "step": self.source,
            "outcome": self.outcome,
        }
        if self.port:
            found["port"] = self.port
        if self.started_ms is not None and self.ended_ms is not None:
            found |= {
                "started_ms": self.started_ms,
                "duration_ms": self.ended_ms - self.started_ms,
            }
        if self.text:
            found["text"] = self.text
        if self.captures:
            found["captures"] = dict(self.captures)
        if self.message:
            found["message"] = self.message
        return found


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run.

    Attributes:
        name: the script's.
        outcome: `passed`, `failed`, `error`.
        duration_ms: from its beginning to its end.
        steps: all of them, also those that were not run.
        message: what ended it, where it did not pass.
        latest: the last lines of the board that no step took.
    """

    name: str
    outcome: str
    duration_ms: int
    steps: tuple[StepResult, ...]
    message: str = ""
    latest: tuple[str, ...] = ()

    def count(self, outcome: str) -> int:
        """How many steps ended so."""
        return sum(step.outcome == outcome for step in self.steps)

    def as_dict(self) -> dict[str, object]:
        """The run for `--json`."""
        return {
            "script": self.name,
            "outcome": self.outcome,
            "duration_ms": self.duration_ms,
            "passed": self.count(PASSED),
            "not_run": self.count(NOT_RUN),
            "steps": [step.as_dict() for step in self.steps],
            "message": self.message,
            "latest": list(self.latest),
        }


def junit(summary: Summary) -> bytes:
    """The run as a JUnit file: one case a step; a run that broke off has an error in any case."""
    failed, errors = summary.count(FAILED), summary.count(ERROR)
    broke_off = summary.outcome != PASSED and not failed and not errors
    suite = ET.Element(
        "testsuite",
        {
            "name": _xml(summary.name),
            "tests": str(len(summary.steps) + broke_off),
            "failures": str(failed),
            "errors": str(errors + broke_off),
            "skipped": str(summary.count(NOT_RUN)),
            "time": _seconds(summary.duration_ms),
        },
    )
    for step in summary.steps:
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": _xml(summary.name),
                "name": _xml(f"{step.number:03d} {step.where} {step.source}"),
                "time": _seconds((step.ended_ms or 0) - (step.started_ms or 0)),
            },
        )
        if step.outcome in {FAILED, ERROR}:
            tag = "failure" if step.outcome == FAILED else "error"
            _said(case, tag, step.message, summary.latest)
        elif step.outcome == NOT_RUN:
            ET.SubElement(case, "skipped")
        elif step.text:
            ET.SubElement(case, "system-out").text = _xml(step.text)
    if broke_off:
        case = ET.SubElement(
            suite, "testcase", {"classname": _xml(summary.name), "name": "the run", "time": "0.000"}
        )
        _said(case, "error", summary.message, summary.latest)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _said(case: ET.Element, tag: str, message: str, latest: tuple[str, ...]) -> None:
    said = ET.SubElement(case, tag, {"message": _xml(message)})
    said.text = _xml("\n".join(("the last lines of the board:", *latest)))


def _xml(text: str) -> str:
    return _NO_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"
