# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify --ocpp` as it is typed, without a program that carries MicroOcpp."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from evtool.cli.verify import command
from evtool.errors import ConfigError


def test_the_reference_lists_its_departures(tmp_path: Path) -> None:
    script = tmp_path / "short.toml"
    script.write_text(
        'title = "t"\nrule = "r"\nduration = "8s"\ntick_ms = 100\n[ocpp]\n'
        '[[event]]\nat = "6s"\ndo = "call"\naction = "ClearCache"\n'
        '[[event]]\nat = "7s"\nwithin = "2s"\noutput = ["ClearCache.conf *"]\n'
    )
    arguments = ["--ocpp", "--device", "reference", "--jobs", "1", str(script), "--json"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    first, *_, last = [json.loads(line) for line in done.stdout.splitlines()]
    names = [each["name"] for each in first["wire"]["explained"]]
    assert "configuration BlinkRepeat" in names
    assert first["wire"]["unexplained"] == []
    assert last["failed"] == 0


def test_scripts_are_spread_over_processes(tmp_path: Path) -> None:
    scripts = [tmp_path / f"{name}.toml" for name in ("one", "two")]
    for script in scripts:
        script.write_text('title = "t"\nrule = "r"\nduration = "4s"\ntick_ms = 100\n[ocpp]\n')
    arguments = ["--ocpp", "--device", "reference", "--jobs", "2", *map(str, scripts)]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "2 runs" in done.output


def test_its_scenarios_are_listed_apart() -> None:
    listed = CliRunner().invoke(command, ["--ocpp", "--list"]).stdout
    assert "power_cut_in_a_transaction" in listed
    assert "bms_silent " not in listed
    assert "power_cut_in_a_transaction" not in CliRunner().invoke(command, ["--list"]).stdout


def test_a_script_of_the_other_kind_is_refused() -> None:
    done = CliRunner().invoke(command, ["--device", "reference", "--ocpp", "bms_silent"])
    assert isinstance(done.exception, ConfigError)


def test_a_program_without_microocpp_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nread line\necho malformed unknown command\nexit 2\n")
    program.chmod(0o755)
    done = CliRunner().invoke(command, ["--ocpp", "plug_first", "--program", str(program)])
    assert isinstance(done.exception, ConfigError)
    assert "carries no MicroOcpp" in done.exception.message
    assert "--microocpp" in (done.exception.fix or "")


def test_it_is_for_scripts_alone(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("")
    done = CliRunner().invoke(command, ["--ocpp", "--replay", str(log)])
    assert done.exit_code == 2
    assert "no --replay" in done.output
