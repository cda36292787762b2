# SPDX-License-Identifier: GPL-3.0-or-later
"""`--serial-range` as a user types it: one board, a fleet's file, and its labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flash_project import make_build, make_project

from evtool.cli import group
from evtool.link.ledger_database import open_ledger

Here = Callable[..., tuple[int, list[dict[str, Any]], str]]
RANGE = ("--serial-range", "2030")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path / "project")
    make_build(tmp_path / "project" / "build" / "host")
    return tmp_path / "project"


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    monkeypatch.chdir(project)

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = group._run(["provision", *arguments, "--json"])
        said = capfd.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return call


def numbers(project: Path) -> dict[str, int]:
    """The next number of each range."""
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger:
        return {each.name: each.next for each in ledger.ranges()}


def test_a_single_board_is_given_the_next_number_for_good(project: Path, here: Here) -> None:
    words = ("--serial-port", "/dev/ttyNO_SUCH_PORT", *RANGE, "--serial-format", "EV{number:05}")
    code, told, _ = here(*words, "--dry-run")
    assert (code, told[-1]["error"]) == (2, "RangeEnded")
    assert not (project / ".evtool" / "ledger.db").exists()
    assert here("ledger", "range", "2030", "7", "8")[0] == 0
    code, told, _ = here(*words, "--dry-run")
    assert (code, told[-1]["serial_number"]) == (0, "EV00007")
    assert numbers(project) == {"2030": 7}
    # The port is not there; the number is the unit's from now on.
    for _ in range(2):
        code, told, _ = here(*words)
        assert code == 3, told
        assert numbers(project) == {"2030": 8}
    code, told, _ = here(*words, "--dry-run")
    assert told[-1]["serial_number"] == "EV00007"
    assert here(*words, "--identity", "CP-0002")[0] == 3
    for more in ((), ("--dry-run",)):
        code, told, _ = here(*words, "--identity", "CP-0003", *more)
        assert (code, told[-1]["error"]) == (2, "RangeEnded")


def test_a_dry_run_passes_over_what_another_unit_has(project: Path, here: Here) -> None:
    assert here("ledger", "range", "2030", "7", "8")[0] == 0
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger, ledger.change() as made:
        made.claim("OLD", [("serial", "7")])
    code, told, _ = here("--serial-port", "/dev/ttyNO_SUCH_PORT", *RANGE, "--dry-run")
    assert (code, told[-1]["serial_number"]) == (0, "8")


def test_a_bad_project_or_format_draws_nothing(project: Path, here: Here) -> None:
    assert here("ledger", "range", "2030", "7", "8")[0] == 0
    port = ("--serial-port", "/dev/ttyNO_SUCH_PORT")
    for words, said in (
        ((*RANGE, "--serial-format", "EV"), "must hold {number}"),
        (("--serial-format", "EV{number}"), "of which range?"),
        ((*RANGE, "--identity", "no identity"), "identity"),
        ((*RANGE, "--serial-format", "x" * 25 + "{number}"), "serial_number"),
    ):
        code, told, _ = here(*port, *words)
        assert code == 2
        assert said in told[-1]["message"]
    assert numbers(project) == {"2030": 7}


def test_a_fleets_file_draws_where_a_row_has_none(project: Path, here: Here) -> None:
    (project / "fleet.toml").write_text(
        'units = "units.csv"\nshared = ["wifi_passphrase"]\n[template]\nidentity = "CP-{n}"\n'
        "authorization_key = { generate = true }\n"
    )
    (project / "units.csv").write_text("serial,ssid\n,a\nOWN-2,a\n,a\n")
    words = ("fleet", "check", "fleet.toml")
    code, told, _ = here(*words)
    assert code == 2
    assert {each["column"] for each in told if each.get("event") == "problem"} == {"serial_number"}
    assert here("ledger", "range", "2030", "1", "1")[0] == 0
    code, told, _ = here(*words, *RANGE)
    assert code == 2
    [problem] = [each for each in told if each.get("event") == "problem"]
    assert problem["line"] == 4
    assert "no number is left for it" in problem["rule"]
    assert here("ledger", "range", "2031", "1", "9")[0] == 0
    code, told, _ = here(*words, "--serial-range", "2031")
    assert (code, told[-1]["units"]) == (0, 3)
    assert numbers(project) == {"2030": 1, "2031": 1}
    code, told, _ = here(
        "labels", "fleet.toml", "--serial-range", "2031", "--unit", "CP-1", "--out", "l.svg"
    )
    assert code == 2
    assert "CP-1 has no serial number yet" in told[-1]["message"]
