# SPDX-License-Identifier: GPL-3.0-or-later
"""MicroOcpp in the lockstep mode: its own time, its own power, and nothing that stays behind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from microocpp.plain_csms import PlainCsms
from microocpp.unit import ANSWER_S, ProgramFailed, Unit, program_or_skip

from evtool.link.line_program import LineProgram
from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines


class Told(Unit):
    """Keeps all that the program says."""

    def __init__(self, program: Path, storage: Path, *, nonce: int = 1) -> None:
        super().__init__(program, storage, nonce=nonce)
        self.told: list[str] = []

    def _take(self, line: str) -> None:
        self.told.append(line)
        super()._take(line)


def live(unit: Unit, csms: PlainCsms) -> None:
    """From the plug to the end of a transaction, as far as the power lasts."""
    unit.bench.command("plug_in")
    for seconds, command in ((5, "card TAG"), (4, "card TAG"), (3, "tick")):
        unit.run(seconds)
        if unit.powered:
            unit.step(command)
        else:
            unit.step()
    assert csms.online


def test_without_an_identity_it_is_the_lockstep_of_before() -> None:
    program = LineProgram([str(program_or_skip()), "--lockstep"])
    lines = [*random_lines(7, 3000), *random_lines(8, 3000)]
    reference = Lockstep()
    try:
        program.send("".join(f"{line}\n" for line in lines))
        answers = program.receive(len(lines), ANSWER_S)
    finally:
        program.close()
    expected = "".join(f"{answer}\n" for line in lines for answer in reference.answer(line))
    assert answers == expected


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["nvs evcfg cp_id str 4"], "nvs value is not pairs of hex digits"),
        (["ws open"], "no charge point runs"),
        (["card TAG"], "card, error and preset want a program that runs MicroOcpp"),
        (["cut x"], "cut wants a number of changes of files"),
    ],
)
def test_lines_that_are_refused(lines: list[str], reason: str) -> None:
    assert refusal(lines) == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "ocpp connected=1 transaction=1 permitted=1 limit_ma=-",
            "this program runs MicroOcpp, which alone says what OCPP permits",
        ),
        ("ws hello", "ws wants open, closed or recv"),
        ("card", "card wants an id_tag, 1 to 20 characters ! to ~"),
        ("card " + "x" * 21, "card wants an id_tag, 1 to 20 characters ! to ~"),
        ("error Nonsense", "error wants an error code of OCPP 1.6, or -"),
    ],
)
def test_lines_that_are_refused_while_it_runs(tmp_path: Path, line: str, reason: str) -> None:
    unit = Unit(program_or_skip(), tmp_path / "storage")
    unit.boot()
    with pytest.raises(ProgramFailed, match=re.escape(f"malformed {reason}")):
        unit.give(line)
    unit.kill()


def refusal(lines: list[str]) -> str:
    program = LineProgram([str(program_or_skip()), "--lockstep"])
    try:
        program.send("".join(f"@0 {line}\n" for line in lines))
        answer = program.receive(len(lines) + 1, ANSWER_S)  # it ends
        return_code, _ = program.finish()
        assert return_code == 2
        return answer.removeprefix("malformed ").strip()
    finally:
        program.close()


def test_an_identity_that_is_not_whole_starts_no_ocpp(unit: Unit) -> None:
    unit.boot()
    unit.give("nvs evcfg csms_url str " + b"http://x".hex(), "boot reset=power_on")
    assert "[event] identity field=csms_url rule=ws://_or_wss://host[:port][/path]" in unit.console
    unit.give("ocpp connected=1 transaction=1 permitted=1 limit_ma=-")
    assert unit.state["transaction"] == "1"


def test_the_same_life_is_told_the_same_way(tmp_path: Path) -> None:
    lives = []
    for name in ("one", "two"):
        unit = Told(program_or_skip(), tmp_path / name)
        csms = PlainCsms(unit)
        unit.boot()
        live(unit, csms)
        unit.finish()
        lives.append(unit.told)
    assert lives[0] == lives[1]


def test_a_boot_in_the_same_process_is_like_one_in_a_new_process(tmp_path: Path) -> None:
    unit = Told(program_or_skip(), tmp_path / "one")
    csms = PlainCsms(unit)
    unit.boot()
    unit.until(lambda: csms.statuses(1), "registration")
    csms.ask("ChangeConfiguration", key="HeartbeatInterval", value="17")
    live(unit, csms)
    unit.bench.command("plug_out")
    csms.replies["Authorize"] = {"idTagInfo": {"status": "Blocked"}}
    unit.step("card LATER")
    unit.give("cut 0")
    unit.step("card LATER")
    unit.run(1)
    assert unit.off == "cut"
    shutil.copytree(tmp_path / "one", tmp_path / "two")

    twin = Told(program_or_skip(), tmp_path / "two", nonce=2)
    twin.now_ms, twin.stored_mwh = unit.now_ms, unit.stored_mwh
    lives = []
    for each in (unit, twin):
        each.bench = type(unit.bench)(each.bench.vehicle, each.bench.module, 0, each.now_ms)
        other = PlainCsms(each)
        other.replies["BootNotification"] = {
            "status": "Accepted", "currentTime": "2024-05-01T12:00:00Z", "interval": 0
        }  # fmt: skip
        before = len(each.told)
        each.boot()
        each.run(40)
        lives.append([line for line in each.told[before:] if line.startswith("ws ")])
        assert len(other.sent("Heartbeat")) == 2, "what was configured is there"
        each.finish()
    assert lives[0] == lives[1]


@pytest.mark.slow
@pytest.mark.parametrize("in_new_process", [False, True])
def test_power_that_fails_at_any_change_of_a_file(tmp_path: Path, in_new_process: bool) -> None:
    lives = 0
    for changes in range(200):
        unit = Unit(program_or_skip(), tmp_path / str(changes))
        csms = PlainCsms(unit)
        unit.boot()
        unit.run(4)
        unit.give(f"cut {changes}")
        live(unit, csms)
        cut = not unit.powered
        lives += cut
        if cut and in_new_process:
            unit.kill()
        if cut:
            unit.boot()
        unit.run(6)
        unit.bench.command("plug_out")
        unit.run(150)  # one whose answer the cut took away is sent again after a minute
        starts, stops = csms.sent("StartTransaction"), csms.sent("StopTransaction")
        assert all(each == starts[0] for each in starts)
        assert all(each == stops[0] for each in stops)
        assert bool(starts) == bool(stops), (changes, starts, stops)
        if starts:
            assert stops[0]["meterStop"] >= starts[0]["meterStart"] == 0
        assert unit.state["transaction"] == "0"
        assert not unit.bench.module.on
        unit.finish()
        if not cut:
            break
    assert lives >= 10
