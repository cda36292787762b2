# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool flash` at many ports, as a user types it, against racks of virtual boards."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import flash_project
import pytest
from board_rack import BoardRack, Faults, RackBoard, stuck_halfway
from flash_project import KEY, PASSPHRASE, make_build, make_project

from evtool.link.ledger_database import open_ledger
from evtool.protocol.nvs import parse_image
from evtool.pytest_plugin import StartBoard
from evtool.virtual.chips import CHIPS

EVTOOL = [sys.executable, "-m", "evtool"]
EVCFG = slice(0x390000, 0x396000)


@pytest.fixture
def rack() -> Iterator[BoardRack]:
    with BoardRack() as boards:
        yield boards


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a finished build, large enough to be stopped in the middle."""
    program = flash_project.PROGRAM + b"\nexit\n" + os.urandom(300_000)
    monkeypatch.setattr(flash_project, "PROGRAM", program)
    make_project(tmp_path / "project")
    make_build(tmp_path / "project" / "build" / "host")
    return tmp_path / "project"


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*EVTOOL, "flash", "--json", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, cwd: Path) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines and stderr."""
    with start(*arguments, cwd=cwd) as process:
        out, errors = process.communicate(timeout=100)
    return process.returncode, [json.loads(line) for line in out.splitlines()], errors


def at(ports: list[str]) -> list[str]:
    return [word for port in ports for word in ("--serial-port", port)]


def holds_build(board: RackBoard, project: Path) -> bool:
    firmware = (project / "build" / "host" / "firmware.bin").read_bytes()
    table = (project / "build" / "host" / "partition-table.bin").read_bytes()
    return board.holds(0x10000, firmware) and board.holds(0x8000, table)


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {board["serial_port"]: board["verdict"] for board in document["boards"]}


def test_a_rack_is_flashed_proved_at_boot_and_reported(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    for _ in range(3):
        rack.add()
    report, junit, logs = tmp_path / "r.json", tmp_path / "j.xml", tmp_path / "logs"
    files = ["--report", str(report), "--junit", str(junit), "--log-dir", str(logs)]
    code, lines, errors = run(*at(rack.ports), *files, "--boot-proof", cwd=project)
    assert code == 0, errors
    assert all(holds_build(board, project) for board in rack.boards)
    assert all(set(board.flash[EVCFG]) == {0xFF} for board in rack.boards)

    document = json.loads(report.read_text())
    assert verdicts(document) == dict.fromkeys(rack.ports, "flashed")
    assert {"event": "run"} | document == {k: v for k, v in lines[-1].items() if k != "took_ms"}
    for board in document["boards"]:
        assert board["boot"]["build"] == "cafe"
        assert set(board["times_ms"]) == {"connect", "compare", "write", "prove", "boot"}
    assert len(list(ET.parse(junit).iter("testcase"))) == 3  # noqa: S314 - written just now
    assert len(list(logs.iterdir())) == 3
    assert "Stub flasher running." in next(logs.iterdir()).read_text()
    for port in rack.ports:
        mine = [line for line in lines if line.get("serial_port") == port]
        assert [line["event"] for line in mine if line["event"] not in {"progress", "phase"}] == [
            "attempt", "connected", "board",
        ]  # fmt: skip
        assert [line["percent"] for line in mine if line["event"] == "progress"][-1] == 100

    code, lines, _ = run(*at(rack.ports), cwd=project)
    assert code == 0
    assert set(verdicts(lines[-1]).values()) == {"unchanged"}


@pytest.mark.parametrize("others", [0, 1], ids=["esptool as a program", "esptool's code"])
def test_a_machine_that_is_busy_while_the_stub_starts_costs_no_attempt(
    project: Path, rack: BoardRack, others: int
) -> None:
    rack.add(Faults(busy_s=0.6))
    for _ in range(others):
        rack.add()
    code, lines, errors = run(*at(rack.ports), "--no-evcfg", cwd=project)
    assert code == 0, errors
    assert "retry" not in {line["event"] for line in lines}


def test_the_next_run_takes_up_what_this_one_left(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    good, worn = rack.add(), rack.add(Faults(dead_sector=0x10000))
    link, report = tmp_path / "link", str(tmp_path / "r.json")
    ports = at([good.port, worn.port, str(link)])
    code, lines, _ = run(*ports, "--report", report, cwd=project)
    assert code == 3
    assert verdicts(lines[-1]) == {
        good.port: "flashed", worn.port: "failed", str(link): "failed",
    }  # fmt: skip
    by_port = {board["serial_port"]: board for board in lines[-1]["boards"]}
    assert by_port[worn.port]["exit_code"] == 1
    assert "app at 0x10000" in by_port[worn.port]["message"]
    assert f"no serial port '{link}'" in by_port[str(link)]["message"]

    link.symlink_to(rack.add().port)
    rack.unplug(worn)
    code, lines, _ = run("--retry-failed", report, "--report", report, cwd=project)
    assert code == 3
    assert verdicts(lines[-1]) == {
        good.port: "flashed", str(link): "flashed", worn.port: "failed",
    }  # fmt: skip
    assert not any(line.get("serial_port") == good.port for line in lines)
    assert holds_build(rack.boards[2], project)

    (tmp_path / "m.bin").write_bytes(b"x")
    image = ["--image", str(tmp_path / "m.bin") + "@0", "--chip", "esp32"]
    code, _, errors = run("--retry-failed", report, *image, cwd=project)
    assert code == 2
    assert "that run wrote other images" in errors


@pytest.mark.parametrize("moment", ["connected", "progress 5", "progress 60", "prove", "board"])
def test_killed_at_any_moment_the_second_run_makes_all_boards_right(
    tmp_path: Path, project: Path, rack: BoardRack, moment: str
) -> None:
    rack.add()
    rack.add()
    stuck = rack.add(stuck_halfway())
    report = tmp_path / "r.json"
    with start(*at(rack.ports), "--report", str(report), cwd=project) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            word, _, percent = moment.partition(" ")
            if word in {event["event"], event.get("phase")} and event.get("percent", 0) >= int(
                percent or 0
            ):
                break
        process.kill()
    left = verdicts(json.loads(report.read_text()))
    assert set(left) == set(rack.ports)
    assert left[stuck.port] == "unfinished"
    stuck.faults.mute_after = None
    code, lines, errors = run("--retry-failed", str(report), cwd=project)
    assert code == 0, errors
    assert len(lines[-1]["boards"]) == 3
    assert all(holds_build(board, project) for board in rack.boards)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_the_threads_and_says_what_is_done(
    tmp_path: Path, project: Path, rack: BoardRack, number: signal.Signals, code: int
) -> None:
    rack.add()
    rack.add()
    stuck = rack.add(stuck_halfway())
    report = tmp_path / "r.json"
    with start(*at(rack.ports), "--report", str(report), cwd=project) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "progress":
                break
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert json.loads(rest.splitlines()[-1])["event"] == "interrupted"
    assert f"--retry-failed {report} takes it up" in errors
    assert "unfinished" not in verdicts(json.loads(report.read_text())).values()
    stuck.faults.mute_after = None
    assert run(*at(rack.ports), cwd=project)[0] == 0
    assert all(holds_build(board, project) for board in rack.boards)


def test_a_jig_takes_each_board_that_appears_once(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    first, second, third = rack.add(), rack.add(), rack.add()
    jig = tmp_path / "jig"
    jig.mkdir()
    (jig / "a").symlink_to(first.port)
    # A pattern means ports: what else lies there is no board.
    (jig / "a.log").write_text("of an earlier run\n")
    (jig / "logs").mkdir()
    (jig / "gone").symlink_to(tmp_path / "nothing")
    watch = ["--watch", "--match", f"{jig}/*", "--count", "3"]
    with start(*watch, cwd=project) as process:
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "board":
                done = [each for each in lines if each["event"] == "board"]
                if len(done) == 1:
                    (jig / "b").symlink_to(second.port)
                elif len(done) == 2:
                    (jig / "c").symlink_to(third.port)
        assert process.wait(60) == 0
    assert set(verdicts(lines[-1]).values()) == {"flashed"}
    assert list(verdicts(lines[-1])) == [str(jig / name) for name in "abc"]
    assert all(holds_build(board, project) for board in rack.boards)


def test_a_merged_image_needs_no_build(tmp_path: Path, project: Path, rack: BoardRack) -> None:
    board = rack.add()
    build = project / "build" / "host"
    merged = bytearray(b"\xff" * 0x100000)
    for name, offset in (
        ("bootloader", 0x1000),
        ("partition-table", 0x8000),
        ("firmware", 0x10000),
    ):
        data = (build / f"{name}.bin").read_bytes()
        merged[offset : offset + len(data)] = data
    (tmp_path / "merged@1.bin").write_bytes(merged)
    image = ["--image", str(tmp_path / "merged@1.bin"), "--build-id", "cafe", "--boot-proof"]
    code, lines, errors = run(*at([board.port]), *image, cwd=tmp_path)
    assert code == 0, errors
    assert lines[-1]["chip"] == "esp32"
    assert board.holds(0, bytes(merged))

    merged[0x90000] ^= 1
    (tmp_path / "new.bin").write_bytes(merged)
    known = ["--image", f"{tmp_path}/new.bin@0x0", "--known", str(tmp_path / "merged@1.bin")]
    code, lines, _ = run(*at([board.port]), *known, cwd=tmp_path)
    assert code == 0
    assert lines[-1]["boards"][0]["bytes_written"] == 0x1000
    assert board.holds(0, bytes(merged))


def test_a_build_of_esp_idf_says_itself_what_belongs_where(tmp_path: Path, rack: BoardRack) -> None:
    board, other = rack.add(chip=CHIPS["esp32s3"]), rack.add()
    make_build(tmp_path / "build", "esp32s3")
    files = {"0x0": "bootloader", "0x8000": "partition-table", "0x10000": "firmware"}
    flasher_args = tmp_path / "build" / "flasher_args.json"
    document: dict[str, Any] = {
        "flash_files": {offset: f"{name}.bin" for offset, name in files.items()},
        "app": {"offset": "0x10000", "file": "firmware.bin", "encrypted": "false"},
        "extra_esptool_args": {"chip": "esp32s3"},
    }
    flasher_args.write_text(json.dumps(document))
    code, lines, errors = run(*at(rack.ports), "--image", str(flasher_args), cwd=tmp_path)
    assert code == 3, errors
    assert verdicts(lines[-1]) == {board.port: "flashed", other.port: "refused"}
    for offset, name in files.items():
        assert board.holds(int(offset, 0), (tmp_path / "build" / f"{name}.bin").read_bytes())

    for change, words in (
        ({"app": {"encrypted": "true"}}, "app: to be encrypted"),
        ({"extra_esptool_args": {"chip": "esp32"}}, "for esp32, its boot loader for esp32s3"),
        ({"flash_files": {"0x0": "none.bin"}}, "none.bin: no such file"),
        ({"flash_files": {"here": "firmware.bin"}}, "'here' is no offset"),
        ({"flash_files": {"9" * 5000: "firmware.bin"}}, "9' is no offset"),
        ({"flash_files": {"0x0": "a\0b"}}, "0x0: no name of a file"),
        ({"flash_files": {"0x0": "\ud800"}}, "0x0: no name of a file"),
        ({"flash_files": {"0x0": "/dev/zero"}}, "no board has more flash"),
        ({"flash_files": {}}, "no flash_files"),
    ):
        flasher_args.write_text(json.dumps(document | change))
        code, _, errors = run("--serial-port", "x", "--image", str(flasher_args), cwd=tmp_path)
        assert code == 2
        assert words in errors


def test_what_is_known_is_read_as_any_other_file(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    board = rack.add()
    manifest = project / "build" / "host" / "manifest.json"
    known = tmp_path / "known"
    known.mkdir()
    (known / "manifest.json").write_bytes(manifest.read_bytes())
    options = ["--known", str(known / "manifest.json")]
    code, _, errors = run(*at([board.port]), *options, cwd=project)
    assert code == 2
    assert f"{known / 'bootloader.bin'}: no such file" in errors


def test_an_identity_goes_to_one_board_from_memory_and_is_in_the_ledger(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    board = rack.add()
    report, logs = tmp_path / "r.json", tmp_path / "logs"
    arguments = ["--with-evcfg", "--report", str(report), "--log-dir", str(logs)]
    with start(*at([board.port]), *arguments, cwd=project) as process:
        assert process.stdout is not None
        children: set[str] = set()
        said = ""
        for line in process.stdout:
            said += line
            folder = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            children |= set(folder.read_text().split()) if folder.exists() else set()
        assert process.wait(60) == 0
    assert children == set()
    stored = parse_image(bytes(board.flash[EVCFG]))
    assert stored.get("evcfg", "cp_id") == "CP-0001"
    assert stored.get("evcfg", "wifi_pass") == PASSPHRASE
    ledger = open_ledger(project / ".evtool" / "ledger.db", "looking")
    assert [each.event for each in ledger.history(unit="CP-0001")] == [
        "claimed", "claimed", "claimed", "written",  # identity and MAC, key, serial number
    ]  # fmt: skip
    ledger.close()
    said += report.read_text() + next(logs.iterdir()).read_text()
    for secret in (KEY, KEY.encode().hex(), PASSPHRASE):
        assert secret not in said


def test_who_is_there_is_asked_without_a_project_and_of_any_chip(
    tmp_path: Path, virtual_boards: StartBoard
) -> None:
    boards = {chip: virtual_boards("--chip", chip) for chip in ("esp32", "esp32c3")}
    ports = {board.serial_port: chip for chip, board in boards.items()}
    code, lines, errors = run(*at(list(ports)), "--identify", cwd=tmp_path)
    assert code == 0, errors
    found = lines[-1]["boards"]
    assert {each["serial_port"]: each["chip"] for each in found} == ports
    assert {each["verdict"] for each in found} == {"identified"}
    assert all(set(board.flash()) == {0xFF} for board in boards.values())
    done = subprocess.run(
        [*EVTOOL, "flash", *at(list(ports)), "--identify"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "ESP32-C3 (QFN32) (revision v0.3)  identified" in done.stdout


def test_gates_keep_boards_out_and_identify_writes_nothing(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    first, second = rack.add(), rack.add()
    code, lines, _ = run(*at(rack.ports), "--identify", cwd=project)
    assert code == 0
    assert {board["mac"] for board in lines[-1]["boards"]} == {
        board.mac.hex(":") for board in rack.boards
    }
    assert {board["revision"] for board in lines[-1]["boards"]} == {"3.0"}
    (tmp_path / "macs").write_text(f"{first.mac.hex('-')}  # the only one\n")
    code, lines, _ = run(*at(rack.ports), "--mac-list", str(tmp_path / "macs"), cwd=project)
    assert code == 3
    assert verdicts(lines[-1]) == {first.port: "flashed", second.port: "refused"}
    assert set(second.flash) == {0xFF}


def test_people_get_a_table(project: Path, rack: BoardRack) -> None:
    first, _ = rack.add(), rack.add()
    done = subprocess.run(
        [*EVTOOL, "flash", *at([*rack.ports, "/dev/ttyNO_SUCH_PORT"])],
        cwd=project, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert re.search(rf"^{first.port} +24:0a:c4:00:00:01  flashed +1 ", done.stdout, re.MULTILINE)
    assert "/dev/ttyNO_SUCH_PORT: no serial port" in done.stdout
    assert re.search(r"^3 boards in [0-9.]+ s: 2 flashed, 1 failed$", done.stdout, re.MULTILINE)


def test_a_terminal_shows_a_bar_for_each_board(project: Path, rack: BoardRack) -> None:
    rack.add()
    rack.add(Faults(dead_sector=0x10000))
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [*EVTOOL, "flash", *at(rack.ports)],
        cwd=project, stdout=subprocess.DEVNULL, stderr=other_end,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:  # fmt: skip
        os.close(other_end)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone with its last user
            while part := os.read(terminal, 4096):
                shown += part
        assert process.wait(60) == 1
    os.close(terminal)
    last = shown.decode().split(rack.ports[0])[-1]
    assert re.search(r"100 % flashed", last)
    assert re.search(rf"{rack.ports[1]}.* % failed", last)


def test_a_terminal_that_is_closed_is_a_stop_as_any_other(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    rack.add()
    rack.add(stuck_halfway())
    report = tmp_path / "r.json"
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [*EVTOOL, "flash", *at(rack.ports), "--report", str(report)],
        cwd=project, stdout=other_end, stderr=other_end,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:  # fmt: skip
        os.close(other_end)
        shown = b""
        while b"%" not in shown:
            shown += os.read(terminal, 4096)
        os.close(terminal)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 128 + signal.SIGHUP
    assert "unfinished" not in verdicts(json.loads(report.read_text())).values()


def test_a_report_that_cannot_be_written_is_said_before_a_board_is_touched(
    tmp_path: Path, project: Path, rack: BoardRack
) -> None:
    board = rack.add()
    (tmp_path / "file").touch()
    report = str(tmp_path / "file" / "r.json")
    code, lines, errors = run(*at([board.port]), "--report", report, cwd=project)
    assert code == 1
    assert "takes it up" not in errors
    assert report in lines[-1]["message"]
    assert set(board.flash) == {0xFF}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which board?"),
        (["--count", "2", "--serial-port", "x"], "--count is for --watch"),
        (["--watch", "--with-evcfg"], "an identity belongs to one board"),
        (["--serial-port", "x", "--serial-port", "y", "--no-verify"], "a station proves"),
        (["--watch", "--retry-failed", "r"], "takes the ports from its report"),
        (["--watch", "--chip", "esp32"], "are for --image"),
        (["--watch", "--image", "x", "--env", "host"], "--image excludes"),
        (["--watch", "--match", "vendor=1"], "--match vendor=1: must be one of"),
        (["--watch", "--min-revision", "three"], "must be a revision such as 3.1"),
        (["--watch", "--flash-size", "4"], "must be a size such as 4MB"),
        (["--watch", "--mac-list", "none"], "none: no such file"),
        (["--retry-failed", "none"], "none: no such file"),
        (["--watch", "--image", "/"], "/: cannot be read: Is a directory"),
        (["--watch", "--image", "huge.bin", "--chip", "esp32"], "no board has more flash"),
        (["--watch", "--image", "evtool.toml", "--chip", "esp32"], "--image evtool.toml@OFFSET"),
        (["--watch", "--image", "build/host/firmware.bin"], "so it is no merged image"),
        (["--match", "usb=ffff:ffff"], "no serial port matches"),
        (["--serial-port", "socket://h:1", "--boot-proof"], "carries no reset line"),
        (["--serial-port", "nonsense://h", "--report", "r"], "invalid URL"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_port_is_opened(
    project: Path, arguments: list[str], words: str
) -> None:
    with (project / "huge.bin").open("wb") as huge:
        huge.truncate(1 << 40)  # in no memory
    code, lines, errors = run(*arguments, cwd=project)
    assert code == (3 if "matches" in words else 2)
    assert words in errors.replace("\n", " ")
    assert lines[-1]["exit_code"] == code


def test_a_dry_run_opens_no_port(project: Path) -> None:
    code, (plan,), _ = run(*at(["/dev/ttyNONE", "/dev/ttyNOR"]), "--dry-run", cwd=project)
    assert code == 0
    assert plan["serial_ports"] == ["/dev/ttyNONE", "/dev/ttyNOR"]
