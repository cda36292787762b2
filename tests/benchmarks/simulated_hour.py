# SPDX-License-Identifier: GPL-3.0-or-later
"""An hour of charging, simulated three ways; how much faster than real time (`make bench`).

The controller is the Python reference, the host program in lockstep (a process behind pipes), or
the C++ core alone. Each has the same vehicle and power module around it, at their real rates: a
tick every 20 ms, every frame, every answer, OCPP's word once a second. What a model answers is
heard at the next tick. Energy must flow all the time, and all three must end in the same state,
letter for letter.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proof.cpp_core import HOST, LOCKSTEP, compile_objects, core_sources, link

from evtool.link.line_program import LineProgram
from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import BootInfo, BusState, Config, OcppWord, SendFrame
from evtool.reference_impl.line_format import state_line
from evtool.virtual.bench import MODULE_BUS, Bench
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle, VehicleSettings

TICK_MS = 20
WORD_MS = 1_000
PATIENCE_S = 30.0
WORD = "ocpp connected=1 transaction=1 permitted=1 limit_ma=-"
CORE_MAIN = Path(__file__).resolve().parent / "simulated_hour.cpp"
OPTIMISED = "-O2"  # as the environment `host` in firmware/platformio.ini
CORE_RUNS = 9
STARTING_S = 3
"""So long it takes at most until the module gives what the vehicle asks for."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is simulated. The pack is so large that it is not full after an hour."""

    seconds: int = 3_600
    capacity_mah: int = 60_000
    soc_permille: int = 100

    @property
    def ticks(self) -> range:
        """The time of every tick, in ms."""
        return range(0, self.seconds * 1000, TICK_MS)

    def vehicle(self) -> Vehicle:
        """A vehicle that is plugged in."""
        vehicle = Vehicle(VehicleSettings(capacity_mah=self.capacity_mah), self.soc_permille)
        vehicle.plug_in()
        return vehicle


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended.

    Attributes:
        inputs: how many calls or command lines the controller had.
        charge_ma_ms: what the vehicle took.
        state: the last state line (docs/host-program.md).
    """

    inputs: int
    charge_ma_ms: int
    state: str

    @property
    def fields(self) -> dict[str, str]:
        """The state, by name."""
        return dict(word.split("=") for word in self.state.split()[1:])

    def check(self, run: Run) -> None:
        """Energy flowed all the time, and the register holds as much as the vehicle took.

        Raises:
            AssertionError: it did not.
        """
        assert self.fields["gate"] == "open", self.state
        vehicle = run.vehicle()
        at_least = vehicle.settings.request_ma * (run.seconds - STARTING_S) * 1000
        assert self.charge_ma_ms >= at_least, f"{self.charge_ma_ms} of {at_least} mA ms"
        first_mv = vehicle.open_circuit_mv
        vehicle.charge(self.charge_ma_ms, elapsed_ms=1)
        drop_mv = vehicle.settings.request_ma * vehicle.settings.resistance_mohm // 1000
        mean_mv = (first_mv + vehicle.open_circuit_mv) // 2 + drop_mv
        taken_mwh = self.charge_ma_ms * mean_mv / 3.6e9
        assert abs(int(self.fields["energy_mwh"]) / taken_mwh - 1) < 0.01, f"{taken_mwh} mWh taken"


def by_reference(run: Run) -> Result:
    """The Python controller, called directly."""
    bench = Bench(run.vehicle(), PowerModule(), MODULE_BUS, now_ms=0)
    before_ma_ms = bench.vehicle.charge_ma_ms
    controller = Controller(Config(battery_capacity_mah=run.capacity_mah), BootInfo())
    answers: list[tuple[int, CanFrame]] = []
    inputs = 0

    def carry_out(now_ms: int) -> None:
        nonlocal inputs
        inputs += 1
        for output in controller.drain():
            if isinstance(output, SendFrame):
                answers.extend(bench.on_frame(output.bus, output.frame, now_ms))

    controller.boot(0)
    carry_out(0)
    controller.on_bus(MODULE_BUS, BusState.RUNNING, 0)
    carry_out(0)
    for now_ms in run.ticks:
        due = answers + bench.tick(now_ms)
        answers.clear()
        for bus, frame in due:
            controller.on_frame(bus, frame, now_ms)
            carry_out(now_ms)
        if now_ms % WORD_MS == 0:
            controller.on_ocpp(OcppWord(connected=True, transaction=True, permitted=True), now_ms)
            carry_out(now_ms)
        controller.tick(now_ms)
        carry_out(now_ms)
    state = state_line(controller.snapshot(run.ticks[-1]))
    return Result(inputs, bench.vehicle.charge_ma_ms - before_ma_ms, state)


def by_host(program: Path, run: Run) -> Result:
    """The host program, asked tick by tick: it has answered one before it hears the next."""
    bench = Bench(run.vehicle(), PowerModule(), MODULE_BUS, now_ms=0)
    before_ma_ms = bench.vehicle.charge_ma_ms
    host = LineProgram([str(program), "--lockstep"])
    inputs = 0
    text = ""

    def ask(lines: list[str], now_ms: int) -> list[tuple[int, CanFrame]]:
        nonlocal inputs, text
        inputs += len(lines)
        host.send("".join([f"@{now_ms} {line}\n" for line in lines]))
        text = host.receive(len(lines), PATIENCE_S)
        answers: list[tuple[int, CanFrame]] = []
        for line in text.split("\n"):
            if line.startswith("can "):
                sent = parse_can_words(line[4:])
                assert not isinstance(sent, Malformed), line
                answers += bench.on_frame(*sent, now_ms)
        return answers

    try:
        host.send(f"@0 config battery_capacity_mah={run.capacity_mah}\n")
        host.receive(1, PATIENCE_S)
        answers = ask(["boot", "bus 0 running"], 0)
        for now_ms in run.ticks:
            due = answers + bench.tick(now_ms)
            lines = [render_can_line(bus, frame) for bus, frame in due]
            if now_ms % WORD_MS == 0:
                lines.append(WORD)
            lines.append("tick")
            answers = ask(lines, now_ms)
    finally:
        host.close()
    state = text.splitlines()[-2]
    return Result(inputs, bench.vehicle.charge_ma_ms - before_ma_ms, state)


def by_core(program: Path, run: Run) -> tuple[Result, float]:
    """The C++ core and C++ models; with the processor time of the simulation, in seconds."""
    arguments = [str(run.seconds), str(run.capacity_mah), str(run.soc_permille)]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    seconds, inputs, charge_ma_ms, state = done.stdout.splitlines()
    return Result(int(inputs), int(charge_ma_ms), state), float(seconds)


def build(gxx: str, folder: Path) -> tuple[Path, Path]:
    """The lockstep program, and the core with its own bench."""
    shared = [*core_sources(), HOST / "line_format.cpp"]
    objects = compile_objects(gxx, folder, [*{*shared, *LOCKSTEP}, CORE_MAIN], OPTIMISED)
    lockstep = [target for source, target in objects.items() if source != CORE_MAIN]
    core = [objects[source] for source in (*shared, CORE_MAIN)]
    return link(gxx, folder, "lockstep", lockstep), link(gxx, folder, "core", core)


def measured(simulate: Callable[[], Result]) -> tuple[Result, float, float]:
    """The result; user and system time, of children too, and time by the clock, in seconds."""
    before, begun = os.times(), time.perf_counter()
    result = simulate()
    by_clock_s = time.perf_counter() - begun
    return result, sum(os.times()[:4]) - sum(before[:4]), by_clock_s


def report(name: str, run: Run, result: Result, *seconds: float) -> None:
    """One line of the table; each time with how much shorter it is than what was simulated."""
    energy_mwh = int(result.fields["energy_mwh"])
    times = "".join(f"{taken_s:11.3f} s {run.seconds / taken_s:8.0f} x" for taken_s in seconds)
    sys.stdout.write(f"{name:10} {result.inputs:7} {energy_mwh:10} {times}\n")


def main() -> None:
    """Simulate the hour with each and print a table."""
    gxx = shutil.which("g++")
    if gxx is None:
        sys.exit("needs g++ (Debian: apt-get install g++)")
    run = Run()
    sys.stdout.write(
        "             inputs        mWh          processor                by the clock\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        host, core = build(gxx, Path(folder))
        # On one core: two processes that take turns wake each other much faster there.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        in_core = [by_core(core, run) for _ in range(CORE_RUNS)]
        core_s = statistics.median(seconds for _, seconds in in_core)
        report("core", run, in_core[0][0], core_s)
        on_host = measured(lambda: by_host(host, run))
        report("host", run, *on_host)
    reference = measured(lambda: by_reference(run))
    report("reference", run, *reference)
    for result in (in_core[0][0], on_host[0], reference[0]):
        result.check(run)
        assert result == reference[0], f"{result}\nis not\n{reference[0]}"


if __name__ == "__main__":
    main()
