# SPDX-License-Identifier: GPL-3.0-or-later
"""All mutants of the gate in one C++ program: compiled once, each in a namespace of its own.

A compiler spends most of a small file's time on the standard headers and on its own start, so
eighty mutants cost less together than ten one by one.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mutation.cpp_target import text_of
from mutation.mutant import Mutant
from proof.cpp_core import PROOF, STANDARD, run_tool

# In the order in which they need one another.
_PARTS = (
    *("fixed_text.hpp", "types.hpp", "freshness.hpp", "charge_gate.hpp", "permission.hpp"),
    *("charge_gate.cpp", "names.cpp"),
)
_INCLUDE = re.compile(r'^#(?:include|pragma) *(<\w+>|"[^"]*"|once)$', re.MULTILINE)


def gate_survivors(gxx: str, folder: Path, mutants: Sequence[Mutant]) -> list[Mutant]:
    """The mutants of `charge_gate` and `permission` that the table of answers lets live.

    Raises:
        AssertionError: one does not compile.
    """
    texts = {part: text_of(part) for part in _PARTS}
    texts["gate_table.cpp"] = (PROOF / "gate_table.cpp").read_text()
    headers = sorted({f"#include {name}" for text in texts.values() for name in _standard(text)})
    copies = [_copy(0, texts)]
    for number, mutant in enumerate(mutants, start=1):
        copies.append(_copy(number, {**texts, mutant.file: mutant.apply(texts[mutant.file])}))
    calls = [
        f"  if (which == {number}) return copy_{number}::main();" for number in range(len(copies))
    ]
    main = ["int main(int, char** given) {", "  const int which = std::atoi(given[1]);", *calls]
    source = folder / "batch.cpp"
    source.write_text("\n".join([*headers, "#include <cstdlib>", *copies, *main, "}\n"]))
    program = folder / "batch"
    run_tool([gxx, *STANDARD, "-w", "-O0", str(source), "-o", str(program)], folder)
    expected = _table(program, 0)
    return [
        mutant
        for number, mutant in enumerate(mutants, start=1)
        if _table(program, number) == expected
    ]


def _standard(text: str) -> list[str]:
    return [name for name in _INCLUDE.findall(text) if name.startswith("<")]


def _copy(number: int, texts: dict[str, str]) -> str:
    """The gate and its table in a namespace of their own."""
    body = "\n".join(_INCLUDE.sub("", text) for text in texts.values())
    return f"namespace copy_{number} {{\n{body}\n}}"


def _table(program: Path, number: int) -> bytes:
    done = subprocess.run([program, str(number)], capture_output=True, check=False)
    return done.stdout
