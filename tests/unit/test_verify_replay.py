# SPDX-License-Identifier: GPL-3.0-or-later
"""A log as the controllers' input."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from evtool.cli.verify import command
from evtool.protocol.can_frame import CanFrame
from evtool.protocol.logged_frame import LoggedFrame
from evtool.verify.compare import state_of
from evtool.verify.replay import SILENCE_MS, TAIL_MS, Replay
from evtool.verify.run import reference_steps, timed

REQUEST = CanFrame(0x1806E5F4, bytes.fromhex("02D0012C00000000"))
TEMPERATURE = CanFrame(0x0681827E, bytes.fromhex("0180000000006000"))


def charge(seconds: int, bms_channel: str = "0") -> list[LoggedFrame]:
    return [
        LoggedFrame(second * 1000 + offset, channel, frame)
        for second in range(seconds)
        for offset, channel, frame in ((0, bms_channel, REQUEST), (7, "0", TEMPERATURE))
    ]


def states(replay: Replay, frames: list[LoggedFrame]) -> list[tuple[int, dict[str, str]]]:
    steps = reference_steps(replay.lines(frames))
    return [(step.now_ms, state_of(step.answer)) for step in steps]


@pytest.mark.parametrize(
    ("word", "gate"),
    [("permitted", "open"), ("refused", "not_permitted"), ("offline", "permission_stale")],
)
def test_what_ocpp_says_decides(word: str, gate: str) -> None:
    found = {state.get("gate") for _, state in states(Replay({}, None, word), charge(3))}
    assert gate in found
    assert ("open" in found) == (word == "permitted")


def test_the_bms_may_have_a_bus_of_its_own() -> None:
    frames = charge(3, bms_channel="bms")
    two = [state for _, state in states(Replay({}, "bms", "permitted"), frames)]
    assert two[-1]["bus1"] == "running"
    assert any(state.get("energised") == "1" for state in two)
    lines = list(Replay({"buses": "1"}, "bms", "permitted").lines(frames))
    assert lines[0] == "@0 config buses=2"
    assert sum(" can 1 1806E5F4" in line for line in lines) == 3


def test_time_is_given_at_least_every_20_ms_and_runs_on_until_all_is_stale() -> None:
    times = [now for now, _ in timed(Replay({}, None, "permitted").lines(charge(2)))]
    assert max(b - a for a, b in pairwise(times)) <= 20
    assert times == sorted(times)
    assert times[-1] >= 1007 + TAIL_MS - 20
    last = states(Replay({}, None, "permitted"), charge(2))[-1][1]
    assert (last["plugged"], last["temperature_mdegc"]) == ("0", "-")


def test_a_long_pause_is_left_out() -> None:
    year_ms = 365 * 24 * 3600 * 1000
    frames = [LoggedFrame(0, "", REQUEST), LoggedFrame(year_ms, "", REQUEST)]
    lines = list(Replay({}, None, "permitted").lines(frames))
    assert len(lines) < 1.1 * (SILENCE_MS + TAIL_MS) / 20 + 200
    assert f"@{year_ms} tick" in lines
    assert any(line.startswith(f"@{year_ms} can 0 1806E5F4") for line in lines)


CANDUMP = "".join(
    f"({n / 10:.6f}) can0 1806E5F4#02D0012C00000000\n({n / 10 + 0.01:.6f}) can1 0681827E#"
    "0180000000006000\n"
    for n in range(20)
)


def test_the_command_replays_a_log(tmp_path: Path) -> None:
    log = tmp_path / "drive.log"
    log.write_text(CANDUMP)
    done = CliRunner().invoke(
        command,
        ["--device", "reference", "--replay", str(log), "--bms-channel", "can0", "--json"],
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["log", "verdict", "summary"]
    assert events[0]["channels"] == {"can0": 20, "can1": 20}
    assert events[1]["passed"]
    assert events[1]["steps"] > 600


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bms-channel", "can7"], "no frame on channel can7"),
        (["bms_silent"], "--replay stands alone"),
        (["--fuzz"], "stands alone"),
        (["--replay-ocpp", "maybe"], "--replay-ocpp"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    log = tmp_path / "drive.log"
    log.write_text(CANDUMP)
    options = ["--device", "reference", "--replay", str(log)]
    done = CliRunner().invoke(command, [*options, *arguments])
    assert done.exit_code != 0
    assert complaint in done.stderr + str(done.exception)
