# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool.api` as a set-up script uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from evtool.api import Command, Fleet
from evtool.errors import CheckFailed, ConfigError, DeviceError, EvtoolError
from evtool.link.ledger_database import open_ledger

# In the place of evtool: tells more than a pipe holds, when it is stopped, and ends. It writes
# without a buffer: a signal while that of `print` is written may print nothing itself.
TALKS_AT_ITS_END = """
import os, signal, sys, time

def stopped(number, frame):
    os.write(1, b'{"event": "late"}\\n' * 20_000)
    sys.exit(128 + number)

signal.signal(signal.SIGINT, stopped)
signal.signal(signal.SIGTERM, stopped)
os.write(1, b'{"event": "ready"}\\n')
while True:  # a signal just before pause() would wait for the next one
    time.sleep(0.05)
"""
UNITS = "identity,serial_number\nCP-0001,SN1\nCP-0002,SN2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The current folder is a project with two units."""
    subprocess.run(
        [sys.executable, "-m", "evtool", "init", str(tmp_path)], check=True, capture_output=True
    )
    (tmp_path / "units.csv").write_text(UNITS)
    (tmp_path / "fleet.toml").write_text('units = "units.csv"\nshared = ["wifi_passphrase"]\n')
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def talks_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does so takes evtool's place."""
    (tmp_path / "talks.py").write_text(TALKS_AT_ITS_END)
    stand_in = tmp_path / "python"
    stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/talks.py"\n')
    stand_in.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(stand_in))


class TestCommand:
    def test_its_last_event_is_its_result(self, folder: Path) -> None:
        with Command("codegen", "--only", "controller-config", folder=folder) as job:
            result = job.result()
        assert job.exit_code == 0
        assert result

    def test_an_error_is_raised_as_what_it_was(self, folder: Path) -> None:
        with Command("flash", "--serial-port", "/dev/none-such") as job:
            with pytest.raises(ConfigError) as caught:
                job.result()
        assert caught.value.fix
        with (
            Command("flash", "--manifest", "none.json", "--serial-port", "x") as job,
            pytest.raises(ConfigError, match=r"none\.json"),
        ):
            job.result()

    def test_what_click_refuses_is_a_config_error(self) -> None:
        with Command("provision", "--no-such-option") as job:
            with pytest.raises(ConfigError, match="no-such-option"):
                job.result()

    def test_a_failed_check(self, folder: Path) -> None:
        arguments = ("codegen", "--only", "controller-config")
        with Command(*arguments) as job:
            job.result()
        header = folder / "firmware" / "include" / "controller_config.hpp"
        header.write_text("// changed by hand")
        with Command(*arguments, "--check") as job, pytest.raises(CheckFailed):
            job.result()

    def test_leaving_the_block_ends_it(self, folder: Path) -> None:
        with Command("sim", "board", "--link", str(folder / "board")) as job:
            first = next(iter(job))
        assert first["event"]
        assert job.exit_code in (0, -signal.SIGTERM, 128 + signal.SIGTERM)

    def test_its_end_may_be_waited_for_without_reading_what_it_says(self, folder: Path) -> None:
        rows = "".join(f"CP {number:05},\n" for number in range(1000))  # each with two problems
        (folder / "units.csv").write_text("identity,serial_number\n" + rows)
        with Command("provision", "fleet", "check", "fleet.toml", folder=folder) as job:
            codes: list[int] = []
            wait = Thread(target=lambda: codes.append(job.exit_code), daemon=True)
            wait.start()
            wait.join(120)
            assert codes == [2]

    def test_what_it_still_says_does_not_keep_it_from_ending(self, talks_at_its_end: None) -> None:
        with Command("flash") as job:
            next(iter(job))
        assert job.exit_code == 128 + signal.SIGTERM  # and not killed

    def test_a_terminals_ctrl_c_is_followed_by_no_second_signal(
        self, talks_at_its_end: None
    ) -> None:
        job = Command("flash")
        next(iter(job))
        os.kill(job._process.pid, signal.SIGINT)  # both are in the terminal's process group
        with pytest.raises(KeyboardInterrupt), job:
            raise KeyboardInterrupt
        assert job.exit_code == 130

    def test_a_line_that_was_cut_off_is_no_event(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stand_in = tmp_path / "python"
        words = '{"event": "board", "message": "no answer", "exit_code": 3}'
        stand_in.write_text(f"""#!/bin/sh\necho '{words}'\nprintf '{{"eve'\nkill -9 $$\n""")
        stand_in.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(stand_in))
        with Command("flash") as job, pytest.raises(EvtoolError, match=r"evtool flash.*-9"):
            job.result()

    def test_the_folders_own_modules_are_not_imported(self, folder: Path) -> None:
        (folder / "json.py").write_text("raise SystemExit('the wrong json')")
        with Command("codegen", "--only", "controller-config", folder=folder) as job:
            assert job.result()

    def test_the_environment_reaches_it(self, folder: Path) -> None:
        arguments = ("codegen", "--only", "secrets")
        with Command(*arguments) as job, pytest.raises(ConfigError, match="EVTOOL_WIFI_PASSPHRASE"):
            job.result()
        secret = {"EVTOOL_WIFI_PASSPHRASE": "a passphrase"}
        with Command(*arguments, environment=secret) as job:
            assert "a passphrase" not in str(job.result())


class TestFleet:
    def test_check(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fleet = Fleet(Path("fleet.toml"))
        checked = fleet.check()
        assert [problem.column for problem in checked.problems] == ["wifi_passphrase"]
        monkeypatch.setenv("EVTOOL_WIFI_PASSPHRASE", "a passphrase")
        checked = fleet.check()
        assert checked.problems == ()
        assert [order.identity for order in checked.units] == ["CP-0001", "CP-0002"]
        assert "a passphrase" not in repr(checked) + repr(fleet)

    def test_how_it_stands(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVTOOL_WIFI_PASSPHRASE", "a passphrase")
        fleet = Fleet(Path("fleet.toml"))
        assert [unit.status for unit in fleet.units()] == ["not_begun", "not_begun"]
        with fleet.open_ledger() as none:
            assert none is None
        ledger = open_ledger(".evtool/ledger.db")
        with ledger.change() as change:
            change.append("proved", unit="CP-0002", mac="24:6f:28:00:00:01")
        ledger.close()
        assert (fleet.summary().done, fleet.summary().total) == (1, 2)
        with fleet.open_ledger() as opened:
            assert opened is not None
            assert [record.event for record in opened.history(unit="CP-0002")] == ["proved"]

    def test_a_command_on_it(self, folder: Path) -> None:
        with Fleet(Path("fleet.toml")).command("status") as job:
            assert job.result()["total"] == 2

    def test_every_event_has_a_name(self, folder: Path) -> None:
        with Fleet(Path("fleet.toml")).run([str(folder / "none")]) as job:
            *_, last = job
        assert (last["event"], last["exit_code"]) == ("error", 2)
        with Command("codegen", "--only", "controller-config", folder=folder) as job:
            assert [event["event"] for event in job] == ["result"]

    def test_a_run_without_a_board(self, folder: Path) -> None:
        secret = {"EVTOOL_WIFI_PASSPHRASE": "a passphrase", "SEAL": "9" * 64}
        fleet = Fleet(Path("fleet.toml"), sealing_key="env:SEAL", environment=secret)
        with fleet.run([str(folder / "none")]) as job, pytest.raises(DeviceError):
            job.result()
