# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as JUnit XML: a test case for each board, which every CI server shows."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from evtool.flash.station.verdict import Verdict

_BAD_FLASH = {"ProofFailed", "NotBooted", "CheckFailed"}


def render_junit(document: Mapping[str, object], command: str = "evtool flash") -> str:
    """The XML of a run's document (`report.station_document`).

    A refused board and a bad flash are failures, everything else that is not good is an error.
    """
    boards = document["boards"]
    assert isinstance(boards, list)  # noqa: S101 - made by run_document; for the type checker
    kinds = [_kind(board) for board in boards]
    counts = {
        "tests": str(len(boards)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "time": f"{sum(_seconds(board) for board in boards):.3f}",
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": command} | counts)
    for board, kind in zip(boards, kinds, strict=True):
        who = [board["serial_port"], board.get("mac"), board.get("unit")]
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": f"{command.replace(' ', '.')}.{document['chip']}",
                "name": _text(" ".join(str(word) for word in who if word)),
                "time": f"{_seconds(board):.3f}",
            },
        )
        if kind:
            message = _text(str(board.get("message") or board["verdict"]))
            wrong = ET.SubElement(
                case,
                kind,
                {
                    "message": message.partition("\n")[0],
                    "type": _text(str(board.get("error") or board["verdict"])),
                },
            )
            wrong.text = message
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _kind(board: Mapping[str, object]) -> str:
    if board["exit_code"] == 0:
        return ""
    bad = board["verdict"] == Verdict.REFUSED.value or board.get("error") in _BAD_FLASH
    return "failure" if bad else "error"


def _seconds(board: Mapping[str, object]) -> float:
    times = board.get("times_ms")
    return sum(times.values()) / 1000 if isinstance(times, dict) else 0.0


def _text(text: str) -> str:
    """Without the signs that XML has no way to write."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)
