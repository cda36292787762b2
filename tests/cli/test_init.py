# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool init`, `--help` and the shape of errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evtool.cli import help_text, render_help
from evtool.cli.group import COMMANDS
from evtool.project import load_project


def evtool(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_init_makes_a_project_that_loads(tmp_path: Path) -> None:
    done = evtool("init", "p", "--vendor", 'a"b\\', "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["directory"] == str(tmp_path / "p")
    project = load_project(tmp_path / "p" / "evtool.toml")
    assert project.charge_point.vendor == 'a"b\\'
    assert (tmp_path / "p/firmware/platformio.ini").is_file()
    assert "secrets.h" in (tmp_path / "p/.gitignore").read_text()
    assert not list(tmp_path.glob("p/.evtool-init-*"))


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "firmware").mkdir()
    done = evtool("init", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert "overwrites nothing" in done.stderr
    assert not (tmp_path / "evtool.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["", "--json"], "the current folder is `.`"),
        (["p", "--identity", "CP 1"], "--identity: 'CP 1' must be"),
        (["p", "--serial-number", "9" * 26], "--serial-number: "),
        (["p", "--ssid", ""], "--ssid: is 0 bytes"),
        (["p", "--csms-url", "ws://cp:hush@csms"], "--csms-url: must be ws://host"),
    ],
)
def test_init_refuses_what_breaks_a_rule(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = evtool("init", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "hush" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_init_takes_any_good_address(tmp_path: Path) -> None:
    done = evtool("init", "p", "--csms-url", "wss://csms.example/ocpp", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_init_leaves_a_gitignore_that_is_there_and_does_not_claim_it(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.o\n")
    done = evtool("init", ".", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["made"] == ["firmware", "evtool.toml"]
    assert (tmp_path / ".gitignore").read_text() == "*.o\n"


def test_errors_are_json_when_asked(tmp_path: Path) -> None:
    (tmp_path / "evtool.toml").touch()
    done = evtool("init", ".", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2


def test_the_help_text_is_fresh() -> None:
    assert help_text.HELP == render_help.render(), "run `make generate`"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(arguments: list[str]) -> None:
    done = evtool(*arguments)
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = evtool(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: evtool {name}" in done.stdout


def test_a_shell_gets_its_completions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("_EVTOOL_COMPLETE", "zsh_source")
    assert "_EVTOOL_COMPLETE=zsh_complete" in evtool(cwd=tmp_path).stdout
    monkeypatch.setenv("_EVTOOL_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "evtool sim bo")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert "board" in evtool(cwd=tmp_path).stdout.splitlines()


def test_completions_leave_the_results_of_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = tmp_path / "junit.xml"
    results.write_text("<testsuites><testsuite name='today'/></testsuites>")
    monkeypatch.setenv("_EVTOOL_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "evtool verify --junit junit.xml --htm")
    monkeypatch.setenv("COMP_CWORD", "4")
    assert "--html" in evtool(cwd=tmp_path).stdout
    assert results.exists()


def test_an_unknown_command_is_a_usage_error() -> None:
    done = evtool("flsh")
    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_a_reader_that_leaves_is_no_success_and_no_traceback() -> None:
    script = f"{sys.executable} -m evtool verify --list --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() in ("141", "0")  # 0: it had written before the reader left
    assert done.stderr == ""


def test_no_stdout_at_all() -> None:
    script = f"{sys.executable} -m evtool verify --list >&-"
    done = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
