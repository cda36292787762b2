# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet run` and its kin at racks of virtual boards."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import flash_project
import pytest
from board_rack import BoardRack, Faults, RackBoard, stuck_halfway
from fleet_project import (
    FLEET,
    files_below,
    fleet,
    make_fleet,
    rows_of,
    start,
)
from ledger_rig import NEEDS_SERVER, PostgresqlServer

from evtool.cli import group
from evtool.link.ledger_database import open_ledger
from evtool.protocol.nvs import parse_image
from evtool.provision.ledger.unit_state import unit_states

BEGIN = datetime.now(UTC) - timedelta(days=1)
EVCFG = slice(0x390000, 0x396000)


@pytest.fixture
def rack() -> Iterator[BoardRack]:
    with BoardRack() as boards:
        yield boards


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_fleet(tmp_path / "project", 6)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with a firmware that is large enough to be stopped in the middle."""
    program = flash_project.PROGRAM + b"\nexit\n" + os.urandom(300_000)
    monkeypatch.setattr(flash_project, "PROGRAM", program)
    return make_fleet(tmp_path / "project", 6)


Here = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """The commands in this process, where nothing of a process of their own is looked at."""
    monkeypatch.chdir(project)

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = group._run(["provision", "fleet", *arguments, "--json"])
        said = capfd.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return call


def stored(board: RackBoard, key: str = "cp_id") -> object:
    return parse_image(bytes(board.flash[EVCFG])).get("evcfg", key)


def verdicts(document: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {each["serial_port"]: (each["verdict"], each.get("unit")) for each in document["boards"]}


def statuses(project: Path) -> dict[str, tuple[str, str | None]]:
    ledger = open_ledger(project / ".evtool" / "ledger.db")
    found = {each.unit: (each.status, each.mac) for each in unit_states(ledger)}
    ledger.close()
    return found


def test_a_rack_of_boards_becomes_units_at_once_and_a_second_run_changes_nothing(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    for _ in range(3):
        rack.add()
    report, junit, logs = tmp_path / "r.json", tmp_path / "j.xml", tmp_path / "logs"
    files = ["--report", str(report), "--junit", str(junit), "--log-dir", str(logs)]
    command = ["run", *rows_of(*rack.ports), "--with-firmware"]
    code, lines, errors = fleet(*command, *files, cwd=project)
    assert code == 0, errors
    units = {str(stored(board)): board.mac.hex(":") for board in rack.boards}
    assert units.keys() == {"CP-1", "CP-2", "CP-3"}
    assert len({stored(board, "auth_key") for board in rack.boards}) == 3
    assert statuses(project) == {unit: ("proved", mac) for unit, mac in units.items()}

    document = json.loads(report.read_text())
    assert {"event": "run"} | document == {k: v for k, v in lines[-1].items() if k != "took_ms"}
    for board in document["boards"]:
        assert (board["verdict"], board["exit_code"]) == ("provisioned", 0)
        assert units[board["unit"]] == board["mac"]
        assert board["boot"] | {"charge_point": board["unit"], "build": "cafe"} == board["boot"]
        assert {"connect", "plan", "image", "flash", "read_back", "boot"} <= set(board["times_ms"])
    cases = ET.parse(junit).iter("testcase")  # noqa: S314 - written just now
    assert sorted(str(case.get("name")).split()[-1] for case in cases) == ["CP-1", "CP-2", "CP-3"]
    assert len(list(logs.iterdir())) == 3
    for port in rack.ports:
        mine = [line for line in lines if line.get("serial_port") == port]
        assert [line["event"] for line in mine if line["event"] not in {"progress", "phase"}] == [
            "attempt", "connected", "unit", "board",
        ]  # fmt: skip

    before = [bytes(board.flash) for board in rack.boards]
    code, lines, _ = fleet(*command, cwd=project)
    assert code == 0
    assert {word for word, _ in verdicts(lines[-1]).values()} == {"unchanged"}
    assert {board["unit"]: board["mac"] for board in lines[-1]["boards"]} == units
    assert [bytes(board.flash) for board in rack.boards] == before


@pytest.mark.slow
def test_every_verdict_is_right_and_nothing_hangs(
    tmp_path: Path, large: Path, rack: BoardRack
) -> None:
    """Some unplugged in the middle, some with another unit's MAC, some with a failing flash."""
    project = large
    good, stranger = rack.add(), rack.add()
    code, _, errors = fleet("run", *rows_of(good.port), "--with-firmware", cwd=project)
    assert code == 0, errors
    others = make_fleet(tmp_path / "others", 0, ["XX-1,SX-1"])
    ledger = ["--ledger", str(project / ".evtool" / "ledger.db")]
    code, _, errors = fleet("run", *rows_of(stranger.port), *ledger, "--with-firmware", cwd=others)
    assert code == 0, errors
    strange_flash = bytes(stranger.flash)

    unplugged = rack.add(Faults(unplug_after=60_000))
    worn_app = rack.add(Faults(dead_sector=0x10000))
    worn_identity = rack.add(Faults(dead_sector=0x390000))
    loses_power = rack.add(Faults(cut_after=70_000))
    mute = rack.add(Faults(mute_after=0))
    fresh = rack.add()
    report = tmp_path / "r.json"
    ports = [*rack.ports, "/dev/ttyNO_SUCH_PORT"]
    command = ["run", *rows_of(*ports), "--with-firmware", "--report", str(report)]
    code, lines, errors = fleet(*command, cwd=project)
    assert code == 3, errors
    found = verdicts(lines[-1])
    assert found[good.port] == ("unchanged", "CP-1")
    assert found[stranger.port] == ("refused", None)
    assert found[fresh.port][0] == "provisioned"
    for board in (unplugged, worn_app, worn_identity, loses_power, mute):
        assert found[board.port][0] == "failed", (board.faults, found)
    assert found["/dev/ttyNO_SUCH_PORT"][0] == "failed"
    by_port = {each["serial_port"]: each for each in lines[-1]["boards"]}
    assert "XX-1" in by_port[stranger.port]["message"]
    assert "app at 0x10000" in by_port[worn_app.port]["message"]
    assert "evcfg at 0x390000" in by_port[worn_identity.port]["message"]
    assert (by_port[worn_app.port]["exit_code"], by_port[mute.port]["exit_code"]) == (1, 3)
    assert bytes(stranger.flash) == strange_flash
    # A row whose identity may be in a board stays with it; that of a board that got none is free.
    assert statuses(project)[found[worn_identity.port][1] or ""] == (
        "failed", worn_identity.mac.hex(":"),
    )  # fmt: skip
    identities = [str(stored(board)) for board in rack.boards if stored(board)]
    assert len(set(identities)) == len(identities)

    code, lines, _ = fleet(
        "run", *rows_of(), "--with-firmware", "--retry-failed", str(report), cwd=project
    )
    assert code == 3
    assert not any(line.get("serial_port") in {good.port, fresh.port} for line in lines)


@pytest.mark.parametrize("moment", ["flash", "read_back", "board"])
def test_killed_at_any_moment_the_next_run_makes_all_boards_right(
    large: Path, rack: BoardRack, moment: str
) -> None:
    project = large
    for _ in range(3):
        rack.add()
    command = ["run", *rows_of(*rack.ports), "--with-firmware"]
    with start(*command, cwd=project) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if moment in {event["event"], event.get("phase")}:
                break
        process.kill()
    held = [unit for board in rack.boards if (unit := stored(board))]
    assert len(set(held)) == len(held)
    code, lines, errors = fleet(*command, cwd=project)
    assert code == 0, errors
    units = {str(stored(board)): board.mac.hex(":") for board in rack.boards}
    assert len(units) == 3
    assert statuses(project) == {unit: ("proved", mac) for unit, mac in units.items()}
    assert {word for word, _ in verdicts(lines[-1]).values()} <= {"provisioned", "unchanged"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_all_boards_and_the_next_run_goes_on(
    tmp_path: Path, large: Path, rack: BoardRack, number: signal.Signals, code: int
) -> None:
    project = large
    rack.add()
    stuck = rack.add(stuck_halfway())
    report = tmp_path / "r.json"
    command = ["run", *rows_of(*rack.ports), "--with-firmware"]
    with start(*command, "--report", str(report), cwd=project) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "progress":
                break
        process.send_signal(number)
        rest, errors = process.communicate(timeout=100)
    assert process.returncode == code, errors
    assert json.loads(rest.splitlines()[-1])["event"] == "interrupted"
    assert "unfinished" not in report.read_text()
    stuck.faults.mute_after = None
    assert fleet(*command, cwd=project)[0] == 0


def test_a_jig_makes_a_unit_of_each_board_that_appears(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    boards = [rack.add() for _ in range(3)]
    jig = tmp_path / "jig"
    jig.mkdir()
    (jig / "a").symlink_to(boards[0].port)
    watch = ["--watch", "--match", f"{jig}/*", "--count", "3", "--with-firmware"]
    with start("run", *rows_of(), *watch, cwd=project) as process:
        assert process.stdout is not None
        done: list[tuple[str, str]] = []
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "board":
                done.append((event["unit"], event["verdict"]))
                if len(done) < 3:
                    (jig / "bc"[len(done) - 1]).symlink_to(boards[len(done)].port)
        assert process.wait(60) == 0
    assert done == [(f"CP-{number}", "provisioned") for number in (1, 2, 3)]


def test_a_dry_run_shows_each_row_opens_no_port_and_writes_nothing(
    project: Path, here: Here, rack: BoardRack
) -> None:
    command = ["run", *rows_of("/dev/ttyNONE"), "--dry-run"]
    before = files_below(project)
    code, lines, errors = here(*command)
    assert code == 0, errors
    assert [line["action"] for line in lines if line["event"] == "row"] == ["provision"] * 6
    assert files_below(project) == before
    board = rack.add()
    here("run", *rows_of(board.port), "--with-firmware")
    code, lines, _ = here(*command)
    assert lines[-1]["actions"] == {"check": 1, "provision": 5}
    assert lines[0]["mac"] == board.mac.hex(":")
    done = subprocess.run(
        [*FLEET, *command], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert re.search(rf"CP-1 +check +{board.mac.hex(':')} +proved", done.stdout)
    assert re.search(r"CP-2 +provision +the next board +not_begun", done.stdout)


def test_rotation_rollback_and_leaving_at_a_board(here: Here, rack: BoardRack) -> None:
    board = rack.add()
    here("run", *rows_of(board.port), "--with-firmware")
    first = stored(board, "auth_key")
    code, lines, errors = here("rotate", *rows_of(board.port), "--campaign", "a")
    assert code == 0, errors
    assert verdicts(lines[-1]) == {board.port: ("rotated", "CP-1")}
    second = stored(board, "auth_key")
    assert second != first
    command = ["rotate", *rows_of(board.port), "--dry-run", "--campaign"]
    for campaign, action in (("a", "check"), ("b", "rotate")):
        code, lines, errors = here(*command, campaign)
        assert code == 0, errors
        assert lines[-1]["actions"] == {action: 1, "leave_out": 5}
    code, lines, _ = here("rotate", *rows_of(board.port), "--campaign", "a")
    assert verdicts(lines[-1]) == {board.port: ("unchanged", "CP-1")}
    at_board = ["--serial-port", board.port]
    code, lines, errors = here("rollback", "CP-1", "--dry-run")
    assert (code, lines[-1]["event"]) == (0, "plan"), errors
    code, lines, errors = here("rollback", "CP-1", *at_board)
    assert code == 0, errors
    assert verdicts(lines[-1]) == {board.port: ("rolled_back", "CP-1")}
    assert stored(board, "auth_key") == first
    code, lines, errors = here("rollback", "CP-1", *at_board)
    assert code == 2
    assert "nothing that CP-1 held before" in errors

    code, _, errors = here("decommission", "CP-1")
    assert code == 2
    assert "--serial-port" in errors
    code, lines, errors = here("decommission", "CP-1", *at_board)
    assert code == 0, errors
    assert (lines[-1]["erased"], lines[-1]["given_up"]) == (True, ["mac"])
    assert set(board.flash[EVCFG]) == {0xFF}
    code, lines, _ = here("decommission", "CP-1", *at_board)
    assert (code, lines[-1]["given_up"]) == (0, [])
    code, lines, errors = here("run", *rows_of(board.port))
    assert code == 0, errors
    assert verdicts(lines[-1]) == {board.port: ("provisioned", "CP-2")}
    code, lines, errors = here("rotate", *rows_of(), "--prepare")
    assert (code, lines[-1]["units"]) == (0, 1), errors


def test_a_lost_board_that_turns_up_is_erased_and_may_be_used_again(
    here: Here, rack: BoardRack
) -> None:
    board = rack.add()
    at_board = ["--serial-port", board.port]
    here("run", *rows_of(board.port), "--with-firmware")
    assert here("decommission", "CP-1", "--board-lost")[0] == 0
    assert here("run", *rows_of(board.port))[0] == 2
    code, lines, errors = here("decommission", "CP-1", *at_board)
    assert code == 0, errors
    assert (lines[-1]["erased"], lines[-1]["mac"]) == (True, board.mac.hex(":"))
    assert set(board.flash[EVCFG]) == {0xFF}
    code, lines, errors = here("run", *rows_of(board.port))
    assert code == 0, errors
    assert verdicts(lines[-1]) == {board.port: ("provisioned", "CP-2")}


def test_a_dry_run_makes_neither_a_ledger_nor_a_key(here: Here, project: Path) -> None:
    code, lines, errors = here("rotate", *rows_of("x"), "--dry-run")
    assert (code, lines[-1]["actions"]) == (0, {"leave_out": 6}), errors
    assert here("rotate", *rows_of(), "--prepare", "--dry-run")[0] == 0
    code, _, errors = here("rollback", "CP-1", "--dry-run")
    assert code == 2
    assert "nothing that CP-1 held before" in errors
    assert not (project / ".evtool" / "ledger.db").exists()
    assert here("decommission", "CP-9", "--board-lost")[0] == 2
    assert not (project / ".evtool" / "ledger.db").exists()


def test_a_dry_run_of_a_preparation_makes_no_secret(
    here: Here, rack: BoardRack, project: Path
) -> None:
    board = rack.add()
    here("run", *rows_of(board.port), "--with-firmware")
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger:
        before = ledger.sealed_names()
        code, lines, errors = here("rotate", *rows_of(), "--prepare", "--dry-run")
        assert (code, lines[-1]) == (0, {"event": "plan", "units": 1}), errors
        assert ledger.sealed_names() == before


@NEEDS_SERVER
def test_stations_may_share_a_ledger_on_a_server(
    here: Here, rack: BoardRack, postgresql: PostgresqlServer, project: Path
) -> None:
    first, second = rack.add(), rack.add()
    url = postgresql.new_database()
    for number, board in enumerate((first, second), 1):
        command = ["run", *rows_of(board.port), "--with-firmware", "--ledger", url]
        code, lines, errors = here(*command)
        assert code == 0, errors
        assert verdicts(lines[-1]) == {board.port: ("provisioned", f"CP-{number}")}
    code, lines, _ = here("status", "--ledger", url)
    assert [line["status"] for line in lines if line.get("unit")] == ["proved", "proved"]
    assert not (project / ".evtool" / "ledger.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", *rows_of()], "which board?"),
        (["run", *rows_of("x"), "--count", "2"], "--count is for --watch"),
        (["run", *rows_of("x"), "--no-boot-proof", "--expect-csms"], "part of the boot proof"),
        (["run", *rows_of("x"), "--env", "host", "--manifest", "m"], "exclude each other"),
        (["run", *rows_of("x"), "--env", "esp32dev"], "evtool build --env esp32dev"),
        (["run", *rows_of("x"), "--retry-failed", "r"], "takes the ports from its report"),
        (["run", *rows_of(), "--retry-failed", "none"], "none: no such file"),
        (["run", *rows_of("socket://h:1")], "carries no reset line"),
        (["run", "none.csv", "--serial-port", "x"], "none.csv"),
        (["run", "fleet.csv", "--serial-port", "x"], "same secret as another unit"),
        (["rollback", "CP-9", "--serial-port", "x"], "nothing that CP-9 held before"),
        (["decommission", "CP-9", "--board-lost"], "there is no ledger yet"),
        (["decommission", "CP-9", "--board-lost", "--serial-port", "x"], "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_port_is_opened(
    here: Here, arguments: list[str], words: str
) -> None:
    code, lines, errors = here(*arguments)
    assert code == 2, errors
    assert words in errors.replace("\n", " ") + json.dumps(lines)
    assert lines[-1]["exit_code"] == 2


def test_a_run_without_a_sealing_key_says_how_to_make_one(project: Path, here: Here) -> None:
    settings = project / "evtool.toml"
    settings.write_text(settings.read_text().partition("[provision]")[0])
    code, lines, _ = here("run", *rows_of("x"))
    assert code == 2
    assert "evtool provision secrets new-key" in lines[-1]["fix"]
    assert not (project / ".evtool" / "ledger.db").exists()


def test_a_terminal_shows_a_bar_for_each_board_with_its_unit(
    project: Path, rack: BoardRack
) -> None:
    rack.add()
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [*FLEET, "run", *rows_of(*rack.ports), "--with-firmware"],
        cwd=project, stdout=subprocess.DEVNULL, stderr=other_end,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:  # fmt: skip
        os.close(other_end)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone with its last user
            while part := os.read(terminal, 4096):
                shown += part
        assert process.wait(60) == 0
    os.close(terminal)
    assert re.search(r"100 % provisioned", shown.decode())
