# SPDX-License-Identifier: GPL-3.0-or-later
"""`--serial-range` as a user types it: one board, a fleet's file, and its labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from flash_project import make_build, make_project

from evtool.cli import group
from evtool.link.ledger_database import open_ledger
from evtool.protocol.ledger_record import ClaimTaken

Here = Callable[..., tuple[int, list[dict[str, Any]], str]]
MAC = "24:0a:c4:00:00:01"
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


def serials_of(project: Path) -> dict[str, str]:
    """Which unit has which serial number."""
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger:
        return {each.value: each.unit for each in ledger.claims() if each.kind == "serial"}


def _ledger_files(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / ".evtool").glob("ledger*")}


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


def test_a_number_that_was_drawn_is_the_units_before_its_board_is_there(
    project: Path, here: Here
) -> None:
    port = ("--serial-port", "/dev/ttyNO_SUCH_PORT")
    drawn = (*RANGE, "--serial-format", "EV{number:03}")
    assert here("ledger", "range", "2030", "7", "9")[0] == 0
    # A mistaken format is given up: the number is the same, its serial number another one.
    assert here(*port, *RANGE, "--serial-format", "XX{number:03}")[0] == 3
    assert here(*port, *drawn)[0] == 3
    assert serials_of(project) == {"EV007": "CP-0001"}
    # Whoever forgets the option gets it all the same, and is told.
    for words, code in ((("--dry-run",), 0), ((), 3)):
        code_now, told, _ = here(*port, *words)
        assert code_now == code
        assert told[0] == {"event": "serial_kept", "serial_number": "EV007", "range": "2030"}
    before = _ledger_files(project)
    assert here(*port, "--dry-run")[1][-1]["serial_number"] == "EV007"
    assert _ledger_files(project) == before
    # Another unit cannot have it.
    with (
        closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger,
        pytest.raises(ClaimTaken),
        ledger.change() as change,
    ):
        change.claim("OTHER", [("serial", "ev007")])
    # Released, it is evtool.toml's that is written.
    release = ("ledger", "release", "serial", "EV007", "--unit", "CP-0001", "--reason", "x")
    assert here(*release)[0] == 0
    assert here(*port, "--dry-run")[1][-1]["serial_number"] == "SN-0001"


def test_a_certificate_for_a_serial_number_that_the_unit_does_not_get_is_refused(
    project: Path, here: Here
) -> None:
    begin = datetime.now(UTC) - timedelta(days=1)
    authority, settings = Authority(begin, days=900), project / "evtool.toml"
    (project / "root.pem").write_bytes(authority.root.pem())
    settings.write_text(
        settings.read_text().replace(
            'url = "ws:', 'security_profile = 3\nca_certificate = "root.pem"\nclient_certificate = '
            '"own.pem"\nclient_key = { file = "own.key" }\nurl = "wss:',
        )
    )  # fmt: skip

    def give(name: str) -> None:
        own = authority.issue(name, begin, days=800)
        (project / "own.pem").write_bytes(own.pem())
        (project / "own.key").write_text(own.key_pem())
        (project / "own.key").chmod(0o600)

    port = ("--serial-port", "/dev/ttyNO_SUCH_PORT")
    drawn = (*RANGE, "--serial-format", "EV{number:03}")
    assert here("ledger", "range", "2030", "7", "9")[0] == 0
    give("CP-0001")
    assert here(*port, *drawn)[0] == 3
    assert here(*port, "--dry-run")[1][-1]["serial_number"] == "EV007"
    give("SN-0001")
    for more in (("--dry-run",), ()):
        code, told, _ = here(*port, *more)
        assert code == 2
        assert "nor the serial number 'EV007'" in told[-1]["message"]


def test_a_number_whose_serial_another_unit_took_since_is_left_for_the_next_one(
    project: Path, here: Here
) -> None:
    words = ("--serial-port", "/dev/ttyNO_SUCH_PORT", *RANGE)
    assert here("ledger", "range", "2030", "7", "9")[0] == 0
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger:
        with ledger.change() as change:  # as an evtool before this one drew it
            assert change.next_serial("2030", "CP-0001") == 7
            change.claim("OTHER", [("serial", "7")])
        assert here(*words, "--dry-run")[1][-1]["serial_number"] == "8"
        for _ in range(2):
            assert here(*words)[0] == 3
        assert serials_of(project) == {"7": "OTHER", "8": "CP-0001"}
        last = [each for each in ledger.history(unit="CP-0001") if each.event == "serial_taken"][-1]
        assert last.fields == {"range": "2030", "number": 8, "instead_of": 7}


def test_a_label_has_the_serial_number_that_was_drawn(project: Path, here: Here) -> None:
    assert here("ledger", "range", "2030", "7", "9")[0] == 0
    drawn = (*RANGE, "--serial-format", "EV{number:03}")
    assert here("--serial-port", "/dev/ttyNO_SUCH_PORT", *drawn)[0] == 3
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger, ledger.change() as made:
        made.claim("CP-0001", [("identity", "CP-0001"), ("mac", MAC)], mac=MAC)
    code, told, _ = here("labels", "--out", "label.zpl")
    assert code == 0, told
    label = (project / "label.zpl").read_text()
    assert "EV007" in label
    assert "SN-0001" not in label
