# SPDX-License-Identifier: GPL-3.0-or-later
"""A memory error that a fuzz meets: the sanitizer's report, and the lines that lead there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evtool.link.line_program import LineProgram
from evtool.verify import fuzz
from evtool.verify.device_under_test import HostProgram

# As in host_asan; AddressSanitizer alone makes g++ 12 see an uninitialised value where none is.
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def test_a_memory_error_is_shrunk_and_explained(build_cpp: Callable[..., Path]) -> None:
    program = build_cpp("crashing_main.cpp", "-g1", *SANITIZED)
    device = HostProgram(program, LineProgram, "host-asan")
    for chunk in fuzz.chunks(1, 100_000):
        wrong = fuzz.run_chunk(chunk, device)
        if not wrong.passed:
            break
    assert wrong.ended is not None
    assert "heap-buffer-overflow" in wrong.ended.reason
    assert "crashing_main.cpp" in wrong.ended.reason
    lines = chunk.lines()
    # Most of the search is the same as for any fault; here it is enough to end soon.
    tries = iter(range(150))
    finding = fuzz.narrow(lines, wrong, device, lambda: next(tries, None) is None, lambda _: None)
    assert len(finding.lines) < 40
    assert any(line.endswith(" bus 1 stopped") for line in finding.lines)
    assert finding.lines[-1].endswith(" key 3f")
    assert finding.verdict.ended is not None
