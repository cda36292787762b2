# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP32's control task with both its buses, on fakes of FreeRTOS and of ESP-IDF's drivers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mcp2515_chip import Mcp2515Chip, Wire
from mcp2515_rig import CAPACITY, DISCHARGE, REQUEST, request
from once import Once

from evtool.protocol import can_tables
from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
TESTS = Path(__file__).parent.parent
LIBRARIES = ("evcan", "evcore", "evdiagnostics", "evidentity")
CONTROL, TELEMETRY = can_tables.ControlRequest.ID, can_tables.TelemetryRequest.ID
FEEDBACK = can_tables.ChargeFeedback.ID
TO_BMS = {FEEDBACK, can_tables.CapacityQuery.ID, can_tables.DischargeQuery.ID}
OFF = f"can {CONTROL} 0"
ASKS = Wire(REQUEST, dlc=8, data=bytes.fromhex("02D0012C00000000"))


@pytest.fixture(scope="module")
def program(session_gxx: str, once: Once) -> Path:
    return once("control-task", lambda folder: _build(session_gxx, folder)) / "control"


def _build(gxx: str, folder: Path) -> None:
    libraries = FIRMWARE / "lib"
    includes = [TESTS / "esp32_fakes", FIRMWARE / "src", FIRMWARE / "include"]
    includes += [libraries / name / "include" for name in LIBRARIES]
    sources = [TESTS / "control_task_main.cpp"]
    sources += [FIRMWARE / "src" / f"{n}.cpp" for n in ("control_task", "twai_bus", "mcp2515_port")]
    sources += sorted((libraries / "evcan" / "src").glob("*.cpp"))
    sources += sorted((libraries / "evcore" / "src").glob("*.cpp"))
    flags = ["-std=c++17", "-Wall", "-Wextra", "-fsanitize=undefined"]
    flags += [f"-I{folder}" for folder in includes]
    subprocess.run([gxx, *flags, *sources, "-o", folder / "control"], check=True, timeout=110)


@pytest.mark.parametrize(
    ("buses", "bitrate", "fits"), [(2, 250_000, True), (1, 800_000, True), (2, 800_000, False)]
)
def test_a_bit_rate_that_the_second_bus_cannot_have_does_not_compile(
    gxx: str, tmp_path: Path, buses: int, bitrate: int, fits: bool
) -> None:
    header = (FIRMWARE / "include" / "controller_config.hpp").read_text(encoding="utf-8")
    for name, value in (("kBuses", buses), ("kCanBitrate", bitrate)):
        header = re.sub(rf"{name} = \d+;", f"{name} = {value};", header)
    (tmp_path / "controller_config.hpp").write_text(header)
    shutil.copy(FIRMWARE / "include" / "unit_config.hpp", tmp_path)
    includes = [tmp_path, TESTS / "esp32_fakes", FIRMWARE / "src"]
    includes += [FIRMWARE / "lib" / name / "include" for name in LIBRARIES]
    command = [gxx, "-std=c++17", "-fsyntax-only", *(f"-I{folder}" for folder in includes)]
    command.append(str(FIRMWARE / "src" / "mcp2515_port.cpp"))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == fits, done.stderr
    assert fits or "has no timing for [can] bitrate" in done.stderr


class Task:
    """The task's process; `said` holds what it did since the last look."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.chip = Mcp2515Chip()
        self.said: list[str] = []
        self.left = 0
        self.process = process

    def until_idle(self) -> None:
        """Answers the wires until the task rests."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline().rstrip("\n")
            word, _, rest = line.partition(" ")
            if word == "spi":
                self.said.append(line)
                self.write(self.chip.transfer(bytes.fromhex(rest)).hex())
            elif word == "int":
                self.write(str(int(self.chip.interrupt)))
            elif word == "idle":
                self.left = int(rest)
                return
            else:
                assert word in ("can", "line", "call"), line
                self.said.append(line)

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def tell(self, command: str) -> None:
        self.write(command)
        self.until_idle()

    def turn(self, count: int = 1) -> list[str]:
        """So many turns; what was done in them, without the bytes on SPI."""
        self.said.clear()
        for _ in range(count):
            self.chip.time_passes()
            self.tell("wait")
        return [line for line in self.said if not line.startswith("spi ")]

    def fetch(self) -> None:
        """INT goes low."""
        self.tell("notify")


StartTask = Callable[..., Task]


@pytest.fixture
def start(program: Path) -> Iterator[StartTask]:
    with ExitStack() as stack:

        def begin(buses: int, spi_fails: bool = False) -> Task:
            process = subprocess.Popen(
                [program, str(buses)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **({"SPI_FAILS": "1"} if spi_fails else {})},
            )
            stack.enter_context(process)
            task = Task(process)
            stack.callback(task.write, "end")
            task.until_idle()
            return task

        yield begin


def events(lines: list[str]) -> list[str]:
    return [line.removeprefix("line [event] ") for line in lines if line.startswith("line [event]")]


def test_one_bus_leaves_the_second_s_pins_alone(start: StartTask) -> None:
    task = start(1)
    lines = [*task.said, *task.turn(40)]
    assert not [line for line in lines if line.startswith(("call", "spi"))]
    task.tell(f"hear {ASKS.can_id} 8 {ASKS.data.hex()}")
    assert "plug state=in" in events(task.turn())


def test_off_goes_out_before_the_second_bus_is_touched(start: StartTask) -> None:
    task = start(2)
    assert task.said.index(OFF) < task.said.index("call spi host=2 clock=18 miso=19 mosi=23 dma=0")
    assert "call device select=5 mode=0 hz=4000000" in task.said
    assert f"call gpio mask={1 << 4} edge=2" in task.said


def test_both_buses_run_and_each_has_its_own_frames(start: StartTask) -> None:
    task = start(2)
    lines = [*task.said, *task.turn(5)]
    assert {"bus bus=0 state=running", "bus bus=1 state=running"} <= set(events(lines))
    to_bms = []
    to_module: set[int] = set()
    for _ in range(500):  # 2.5 s
        to_module |= {int(line.split()[1]) for line in task.turn() if line.startswith("can ")}
        while (frame := task.chip.transmit()) is not None:
            to_bms.append(frame.can_id)
    assert set(to_bms) == TO_BMS
    assert to_bms.count(FEEDBACK) == 25
    assert to_module == {CONTROL, TELEMETRY}
    assert task.chip.violations == []


def test_a_vehicle_is_heard_on_its_own_bus_alone(start: StartTask) -> None:
    task = start(2)
    task.turn(5)
    task.tell(f"hear {ASKS.can_id} 8 {ASKS.data.hex()}")
    assert "plug state=in" not in events(task.turn(3))
    task.chip.hear(ASKS)
    assert "plug state=in" in events(task.turn())


def test_frames_are_fetched_while_the_task_rests(start: StartTask) -> None:
    """Three come in one period, and the chip has room for two."""
    task = start(2)
    task.turn(5)
    for _ in range(200):
        left = []
        for frame in (ASKS, request(can_id=CAPACITY), request(can_id=DISCHARGE)):
            task.chip.hear(frame)
            task.fetch()
            left.append(task.left)
        assert left == [4, 3, 2], "the period is not made longer"
        lost = [line for line in task.turn() if "rx_lost=" in line and "rx_lost=0 " not in line]
        assert lost == []


def test_a_late_turn_is_not_made_up_for(start: StartTask) -> None:
    task = start(2)
    task.turn(5)
    task.said.clear()
    task.tell("late")
    assert len([line for line in task.said if line.startswith("spi 031c")]) == 1, "one poll()"
    assert task.left == 5
    task.turn()
    assert task.left == 5


def test_a_flood_on_one_bus_does_not_keep_the_other_waiting(start: StartTask) -> None:
    task = start(2)
    task.turn(5)
    for _ in range(100):
        task.tell("hear 4407041 8 0000000000000000")
    task.chip.hear(ASKS)
    assert "plug state=in" in events(task.turn())
    for left in (68, 36, 4, 0):
        task.said.clear()
        task.tell("heard")
        assert task.said == [f"call heard={left}"]
        task.turn()


def test_a_second_bus_that_does_not_answer_is_told_and_tried_again(start: StartTask) -> None:
    task = start(2)
    task.chip.dead = 0xFF
    lines = events(task.turn(2010))  # 10 s
    assert lines.count("can bus=1 state=no_answer") == 1
    assert lines.count("recover bus=1") == 2
    assert "bus bus=1 state=running" not in lines
    task.chip.dead = None
    assert "bus bus=1 state=running" in events(task.turn(10))


def test_a_second_bus_without_spi_does_not_answer(start: StartTask) -> None:
    task = start(2, spi_fails=True)
    assert "can bus=1 state=no_answer" in events([*task.said, *task.turn(40)])


def test_a_bus_that_was_off_for_a_moment_is_told_and_recovered(start: StartTask) -> None:
    task = start(2)
    task.turn(5)
    task.chip.registers[0x1C] = 96  # TEC
    task.chip._note_errors()
    task.turn()
    task.chip.registers[0x1C] = 255
    task.chip.bus_off = True
    task.chip._note_errors()
    task.chip.recover()
    lines = events(task.turn(6))
    assert lines[:3] == [
        "bus bus=1 state=bus_off",
        "fault name=bus_off state=set",
        "recover bus=1",
    ]
    assert "bus bus=1 state=running" in lines


def test_the_module_s_bus_is_recovered_as_before(start: StartTask) -> None:
    task = start(1)
    task.turn(5)
    task.tell("state 2")
    lines = task.turn()
    assert "call recovery" in lines
    assert "bus bus=0 state=bus_off" in events(lines)


def test_ocpp_may_tell_what_is_given_to_be_stored_and_no_more(start: StartTask) -> None:
    """2160 W for 405 ms are 243 mWh; a sample stores nothing that soon after a store."""
    task = start(1)
    task.turn(5)

    def told(report: int) -> list[str]:
        task.tell(f"hear {can_tables.TerminalPower.ID} 8 4290000041f00000")
        task.turn(40)
        task.tell(f"hear {can_tables.TerminalPower.ID} 8 4290000041f00000")
        task.tell(f"report {report}")
        return [line for line in task.turn() if "store" in line or "tell" in line]

    sample, transaction = 0, 1
    assert told(sample) == ["call may_tell=0"]
    assert told(transaction) == ["call store=243", "call may_tell=243"]
    assert told(sample) == ["call may_tell=243"]
    assert not [line for line in task.turn() if "tell" in line], "asked once, answered once"
