# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts as JUnit XML, which every CI server reads."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from evtool.verify.report import explanation, first_wrong
from evtool.verify.verdict import Verdict


def render_junit(verdicts: Sequence[Verdict], device: str) -> str:
    """One suite, a test case a run: a difference is a failure, a crash an error."""
    ended = sum(verdict.ended is not None for verdict in verdicts)
    bad = sum(verdict.wrong for verdict in verdicts)
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(bad - ended),
        "errors": str(ended),
        "skipped": str(sum(bool(verdict.not_run) for verdict in verdicts)),
        "time": f"{sum(verdict.seconds for verdict in verdicts):.3f}",
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": f"evtool verify {device}"} | counts)
    for verdict in verdicts:
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": f"evtool.verify.{device}",
                "name": _text(verdict.scenario.name),
                "time": f"{verdict.seconds:.3f}",
            },
        )
        if verdict.not_run:
            ET.SubElement(case, "skipped", {"message": _text(verdict.not_run)})
        if not verdict.wrong:
            continue
        kind = "failure" if verdict.ended is None else "error"
        wrong = ET.SubElement(case, kind, {"message": _text(first_wrong(verdict)), "type": kind})
        wrong.text = _text(explanation(verdict))
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _text(text: str) -> str:
    """Without the signs that XML has no way to write."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)
