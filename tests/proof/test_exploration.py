# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state of the power path that small alphabets reach; and that a broken rule is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from once import Once
from proof.cpp_core import CORE, PROOF, compile_objects, link
from proof.exploration import FLAGS, SMALL, Run, build, explore, figures


@pytest.fixture(scope="module")
def objects(once: Once) -> Path:
    """A folder with the explorer's objects and its program."""
    gxx = shutil.which("g++")
    if gxx is None:
        pytest.skip("needs g++ (Debian: apt-get install g++)")
    return once("explorer", lambda folder: build(gxx, folder))


@pytest.mark.parametrize("run", SMALL, ids=lambda run: run.name)
def test_every_reached_state_keeps_the_rules(objects: Path, run: Run) -> None:
    holds, words = explore(objects / "explorer", run)
    assert holds, words
    found = figures(words)
    assert found["open"] > 100, "the gate hardly opened: nothing would be shown"
    assert (found["frontier"] == 0) == (run.depth == 0)


BROKEN = [
    ("charge_gate.cpp", " || !word->permitted", "", "is shown"),
    ("charge_gate.cpp", "if (facts.fault)", "if (false)", "nobody asked for"),
    ("charge_gate.cpp", "> kMaxTemperatureMdegc", ">= 25000", "every condition holds"),
    ("bms.cpp", "kAlive = 3000", "kAlive = 3001", "is shown"),
    ("bms.cpp", "kAlive = 3000", "kAlive = 2999", "is shown"),
    (
        "controller.cpp",
        "name(reason));\n  tell_off(now)",
        "name(reason));\n  (void)now",
        "the opposite of the gate",
    ),
    ("canonical.cpp", "kFresh = 3000", "kFresh = 2998", "in disguise: "),
]


@pytest.mark.parametrize(("name", "old", "new", "words"), BROKEN)
def test_what_is_broken_is_found(
    objects: Path, tmp_path: Path, name: str, old: str, new: str, words: str
) -> None:
    """One by one: a condition of the gate, a limit either way, off, and the clipping of ages."""
    folder = PROOF / "explorer" if name == "canonical.cpp" else CORE / "src"
    text = (folder / name).read_text()
    assert text.count(old) == 1
    source = tmp_path / name
    source.write_text(text.replace(old, new))
    gxx = str(shutil.which("g++"))
    includes = f"-I{PROOF / 'explorer'}"
    compile_objects(gxx, tmp_path, [source], *FLAGS, includes)
    kept = [path for path in objects.glob("*.o") if path.stem != source.stem]
    program = link(gxx, tmp_path, "explorer", [*kept, tmp_path / f"{source.stem}.o"])
    holds, said = explore(program, Run("conditions-small"))
    assert not holds
    assert words in said
