# SPDX-License-Identifier: GPL-3.0-or-later
"""Random runs: what is found is shrunk to what matters, saved, and happens again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evtool.cli.verify import command
from evtool.reference_impl.lockstep import Lockstep
from evtool.verify import fuzz
from evtool.verify.device_under_test import HostProgram
from evtool.verify.raw_lines import check_lines
from evtool.verify.run import judge, reference_steps
from evtool.verify.scenario import load_scenario
from evtool.verify.shrink import shrink


class Faulty:
    """The reference, until something happens in it."""

    name = "faulty"

    def __init__(self, twist: Callable[[str, str], str | None]) -> None:
        self.twist = twist
        self.starts = 0

    def start(self) -> FaultySession:
        self.starts += 1
        return FaultySession(self.twist)


class FaultySession:
    def __init__(self, twist: Callable[[str, str], str | None]) -> None:
        self._twist = twist
        self._reference = Lockstep()
        self._answers: list[str] = []
        self._dead = False

    def give(self, lines: Sequence[str]) -> None:
        for line in lines:
            text = self._twist(line, "\n".join((*self._reference.answer(line), "")))
            self._dead = self._dead or text is None
            if text is not None and not self._dead:
                self._answers.append(text)

    def answers(self, count: int) -> str:
        given, self._answers = self._answers[:count], self._answers[count:]
        return "".join(given)

    def ended(self) -> str:
        return "the program was ended by signal 11"

    def close(self) -> None:
        pass


def unlimited(_: str, text: str) -> str:
    """Says that it is on although the limit is zero."""
    return text.replace("energised=0 gate=limit_zero", "energised=1 gate=open")


def dies_of_a_key(line: str, text: str) -> str | None:
    return None if line.endswith(" key 73") and "plugged=1" in text else text


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=60, unique=True),
    st.sets(st.integers(0, 99), max_size=4),
)
def test_what_is_shrunk_is_what_is_needed(items: list[int], needed: set[int]) -> None:
    needed &= set(items)
    kept = shrink(items, lambda some: needed <= set(some), lambda: False)
    expected = [item for item in items if item in needed]
    assert kept == (expected or kept[:1])


def test_shrinking_ends_when_the_time_is_up() -> None:
    tries = iter(range(1000))
    kept = shrink(range(1000), lambda some: 500 in some, lambda: next(tries) >= 3)
    assert 500 in kept
    assert 1 < len(kept) < 1000


def test_chunks_cover_the_steps_and_never_share_a_seed() -> None:
    parts = list(fuzz.chunks(7, 12_345))
    assert [part.steps for part in parts] == [5_000, 5_000, 2_345]
    assert parts[0].seed == 7
    others = {part.seed for part in fuzz.chunks(8, 12_345)}
    assert not others & {part.seed for part in parts}
    assert all(len(part.lines()) == part.steps for part in parts)


@pytest.mark.parametrize(
    ("twist", "kind", "most"),
    [(unlimited, "energised", 10), (dies_of_a_key, "gave up", 4)],
    ids=["difference", "crash"],
)
def test_a_fault_is_shrunk_and_its_file_makes_it_happen_again(
    tmp_path: Path, twist: Callable[[str, str], str | None], kind: str, most: int
) -> None:
    device = Faulty(twist)
    for chunk in fuzz.chunks(1, 100_000):
        wrong = fuzz.run_chunk(chunk, device)
        if not wrong.passed:
            break
    assert fuzz.what_is_wrong(wrong) == kind
    told: list[int] = []
    finding = fuzz.narrow(chunk.lines(), wrong, device, lambda: False, told.append)
    assert len(finding.lines) <= most
    assert told == sorted(told, reverse=True)
    assert set(finding.lines) <= set(chunk.lines()), "the times of the lines stay"
    for index in range(len(finding.lines)):
        fewer = finding.lines[:index] + finding.lines[index + 1 :]
        found = judge(wrong.scenario, device, reference_steps(fewer))
        assert fuzz.what_is_wrong(found) != kind, f"line {index} is not needed"
    path = tmp_path / "found.toml"
    path.write_text(fuzz.render_finding(finding, "evtool verify --fuzz --seed 1"))
    scenario = load_scenario(path)
    assert scenario.lines == finding.lines
    again = judge(scenario, device, reference_steps(scenario.lines))
    assert fuzz.what_is_wrong(again) == kind
    assert again.at_step == len(finding.lines) - 1


def test_a_search_that_has_no_time_keeps_all_that_led_to_it() -> None:
    device = Faulty(unlimited)
    chunk = next(c for c in fuzz.chunks(1, 100_000) if not fuzz.run_chunk(c, device).passed)
    wrong = fuzz.run_chunk(chunk, device)
    finding = fuzz.narrow(chunk.lines(), wrong, device, lambda: True, lambda _: None)
    assert wrong.at_step is not None
    assert list(finding.lines) == chunk.lines()[: wrong.at_step + 1]
    assert check_lines("\n".join(finding.lines), 1)[1] == []


# A firmware that is a script: it takes the lines, answers with the reference, and lies.
PROGRAM = """\
#!{python}
import sys
from evtool.reference_impl.lockstep import Lockstep
reference = Lockstep()
for line in sys.stdin:
    text = "\\n".join(reference.answer(line.rstrip("\\n")))
    print(text.replace("energised=1", "energised=0"), flush=True)
"""


@pytest.fixture
def lying_program(tmp_path: Path) -> Path:
    import sys  # noqa: PLC0415 - here alone

    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return program


def test_the_command_saves_what_it_found_and_replays_it(
    tmp_path: Path, lying_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evtool.cli.verify_runs.SHRINK_S", 3)
    options = ["--program", str(lying_program), "--jobs", "1", "--save-to", str(tmp_path / "new")]
    arguments = [*options, "--fuzz", "--seed", "3", "--steps", "600", "--json"]
    done = CliRunner().invoke(command, arguments)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    saved = next(event for event in events if event["event"] == "saved")
    assert Path(saved["file"]).parent == tmp_path / "new"
    assert saved["lines"] <= saved["of"] <= 600
    verdict = next(event for event in events if event["event"] == "verdict")
    assert verdict["first_difference"]["fields"][0]["field"] == "energised"
    assert events[-1] == {
        **{"event": "summary", "device": "host", "runs": 1, "failed": 1},
        **{"steps": verdict["steps"], "not_run": 0},
    }
    again = CliRunner().invoke(command, [saved["file"], *options])
    assert "energised: reference 1, device 0" in again.stderr
    assert "1 runs" in again.stdout, "no random inputs after a scenario of one's own"
    assert type(again.exception).__name__ == "CheckFailed"


def test_a_finding_that_cannot_be_saved_is_explained_all_the_same(
    tmp_path: Path, lying_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evtool.cli.verify_runs.SHRINK_S", 0)
    (tmp_path / "file").write_text("")
    options = ["--program", str(lying_program), "--jobs", "1"]
    done = CliRunner().invoke(
        command,
        [*options, "--save-to", str(tmp_path / "file" / "x"), "--fuzz", "--seed=3", "--steps=600"],
    )
    assert "not saved: cannot write" in done.stderr
    assert "energised: reference 1, device 0" in done.stderr
    assert type(done.exception).__name__ == "CheckFailed"


def test_the_reference_as_a_device_needs_no_firmware() -> None:
    done = CliRunner().invoke(
        command, ["--device", "reference", "bms_silent", "vehicle_switch_off", "--jobs", "2"]
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("2 runs")
    assert "on reference: 0 differ" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--fuzz", "bms_silent"], "--fuzz stands alone"),
        (["--fuzz", "--steps", "0"], "--fuzz with --steps 0 verifies nothing"),
        (["--junit", "x", "--html", "x"], "--junit and --html name the same file"),
        (["--seed", "-1"], "--seed"),
        (["--device", "board"], "--device"),
        (["--device", "reference", "--program", "x", "bms_silent"], "--program is for the host"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command, ["bms_silent", "--program", str(tmp_path / "nothing"), "--jobs", "1"]
    )
    assert "cannot run" in str(done.exception)
    assert type(done.exception).__name__ == "ConfigError"


def test_a_device_for_the_search_is_less_patient() -> None:
    device = HostProgram(Path("x"), open_program=lambda _: pytest.fail("not started"), name="n")
    assert device.hurried(1.0).name == "n"
