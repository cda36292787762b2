# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify --ocpp`: both sides of the wire, scripted or random."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evtool.cli.output import Output
from evtool.cli.verify_runs import SHRINK_S, Progress
from evtool.errors import ConfigError, EvtoolError
from evtool.link.clock import monotonic_ms
from evtool.link.files import write_atomically
from evtool.link.line_program import LineProgram
from evtool.link.worker_pool import WorkerPool
from evtool.reference_impl.charge_point.mode import STRICT
from evtool.reference_impl.ocpp_lockstep import FIRMWARE
from evtool.verify.ocpp import fuzz
from evtool.verify.ocpp.random_script import RULE
from evtool.verify.ocpp.run import run_ocpp
from evtool.verify.ocpp.unit import OcppDevice, ProgramDevice, ReferenceDevice, UnitGaveUp
from evtool.verify.scenario import Scenario
from evtool.verify.verdict import Verdict

LIVES = 30
"""Random lives where nobody says how many."""

_SEED_STRIDE = 2**32


def reference_for(device_name: str) -> OcppDevice:
    """What the device is compared with: the strict mode for the reference itself, else what the
    firmware is to do."""
    return ReferenceDevice(STRICT if device_name == "reference" else FIRMWARE)


def device_for(device_name: str, program: Path | None) -> OcppDevice:
    """The device under test.

    Raises:
        ConfigError: the program carries no MicroOcpp, or is none.
    """
    if program is None:
        return ReferenceDevice(FIRMWARE)
    device = ProgramDevice(
        device_name, program.absolute(), LineProgram, tempfile.TemporaryDirectory
    )
    with device.fresh() as unit:
        try:
            unit.give(["@0 nvs evcfg schema u8 01"])
        except UnitGaveUp as error:
            raise ConfigError(
                f"{program}: carries no MicroOcpp, so there is nothing on the wire to verify",
                fix="build one that does: evtool build --env host --microocpp DIR (a MicroOcpp "
                "checkout), or set [build] microocpp in evtool.toml; without it, --device "
                "reference lists the library's departures from the specification",
            ) from error
    return device


@dataclass(frozen=True, slots=True)
class OcppRuns:
    """What all runs of one command share."""

    reference: OcppDevice
    device: OcppDevice
    output: Output
    workers: int
    save_to: Path

    def scenarios(self, chosen: Sequence[Scenario]) -> Iterator[Verdict]:
        """A verdict a scenario, in their order."""
        play = partial(_play, reference=self.reference, device=self.device)
        with WorkerPool(max(1, min(self.workers, len(chosen)))) as pool:
            yield from pool.map(play, chosen)

    def fuzz(self, seed: int, lives: int) -> Verdict:
        """One verdict: nothing found, or the first difference, shrunk and saved."""
        progress = Progress(self.output, f"fuzz, seed {seed}:", "lives", lives)
        start_ms = monotonic_ms()
        messages, known = 0, dict[str, str]()
        live = partial(fuzz.run_life, reference=self.reference, device=self.device)
        seeds = [seed + index * _SEED_STRIDE for index in range(lives)]
        found: Verdict | None = None
        try:
            with WorkerPool(self.workers) as pool:
                for done, verdict in enumerate(pool.map(live, seeds), 1):
                    messages += verdict.steps
                    if verdict.wrong:
                        found = verdict
                        break
                    if verdict.wire is not None:
                        known |= {each.name: each.title for each in verdict.wire.explained}
                    progress.tell(done)
        finally:
            progress.finish()
        seconds = (monotonic_ms() - start_ms) / 1000
        if found is not None:
            return self._explain(replace(found, seconds=seconds), seed, lives)
        if known:
            self.output.say(f"        known departures met: {', '.join(sorted(known))}")
        scenario = _all_lives(seed, lives)
        return Verdict(scenario, self.device.name, messages, seconds=seconds)

    def _explain(self, wrong: Verdict, seed: int, lives: int) -> Verdict:
        if wrong.ended is not None:
            return wrong
        progress = Progress(self.output, "shrinking:", "events", None)
        end_ms = monotonic_ms() + SHRINK_S * 1000
        try:
            narrowed = fuzz.narrow(
                wrong,
                self.reference,
                self.device,
                lambda: monotonic_ms() > end_ms,
                progress.tell,
            )
        finally:
            progress.finish()
        kind = fuzz.what_is_wrong(wrong) or ""
        name = "-".join("".join(c if c.isalnum() else " " for c in kind).split())
        path = self.save_to / f"ocpp-{seed}-{name}.toml"
        command = f"evtool verify --ocpp --fuzz --seed {seed} --steps {lives}"
        try:
            write_atomically(path, fuzz.render_narrowed(narrowed, command))
        except EvtoolError as error:  # what was found is worth more than its file
            self.output.event("not_saved", **error.as_dict())
            self.output.say(f"        not saved: {error.message}; give --save-to another folder")
            return narrowed.verdict
        count = len(narrowed.scenario.events)
        self.output.event("saved", file=str(path), events=count, of=narrowed.of)
        self.output.say(f"        {count} of {narrowed.of} events are enough: {path}")
        return replace(narrowed.verdict, scenario=replace(narrowed.scenario, path=path))


def _play(scenario: Scenario, reference: OcppDevice, device: OcppDevice) -> Verdict:
    start_ms = monotonic_ms()
    verdict = run_ocpp(scenario, reference, device)
    return replace(verdict, seconds=(monotonic_ms() - start_ms) / 1000)


def _all_lives(seed: int, lives: int) -> Scenario:
    """The name under which a whole run is reported."""
    nothing: Mapping[str, str] = {}
    return Scenario(
        name=f"random lives, seed {seed}",
        title=f"{lives} random lives",
        rule=RULE,
        duration_ms=0,
        tick_ms=0,
        config=nothing,
        events=(),
        ocpp={},
    )
