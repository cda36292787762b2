# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision labels` and `fleet status|export|report` as a user types them."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from evtool.link.ledger_database import open_ledger

EVTOOL = [sys.executable, "-m", "evtool", "provision"]
PASSPHRASE = "hunter2hunter2hunter"
UNITS = """identity,serial_number
CP-0001,SN1
CP-0002,SN2
CP-0003,SN3
"""
MAC = "24:6f:28:00:00:01"
WIFI_LABEL = """
[label]
width = 40
height = 40
[[qr]]
x = 0
y = 0
size = 40
content = "{wifi}"
"""


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EVTOOL, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | environment,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of three units: one proved, one failed, one not begun."""
    subprocess.run([*EVTOOL[:3], "init", str(tmp_path)], check=True, capture_output=True)
    (tmp_path / "units.csv").write_text(UNITS)
    ledger = open_ledger(tmp_path / ".evtool" / "ledger.db")
    with ledger.change() as change:
        change.claim("CP-0001", [("identity", "CP-0001"), ("mac", MAC)], mac=MAC)
        held = {
            "serial_number": "SN1",
            "security_profile": 2,
            "ca_sha256": "a1" * 32,
            "ca_not_after": "2001-01-01T00:00:00+00:00",
        }
        change.append("written", unit="CP-0001", mac=MAC, fields=held)
        change.append("proved", unit="CP-0001", mac=MAC, fields={"boot": {}})
        change.claim("CP-0002", [("identity", "CP-0002")])
        change.append(
            "failed",
            unit="CP-0002",
            fields={"step": "boot", "cause": "device", "reason": "nothing came"},
        )
    ledger.close()
    return tmp_path


class TestStatus:
    def test_for_people(self, project: Path) -> None:
        done = run("fleet", "status", "units.csv", cwd=project)
        assert (done.returncode, done.stderr) == (0, "")
        first, root, _, head, *units = done.stdout.splitlines()
        assert first == (
            "1 of 3 units done; 1 failed; 1 not begun; 50.0 % right at the first try; "
            "1 with a certificate that ends within 90 days"
        )
        assert root.startswith("root a1a1a1a1a1a1a1a1  has ended (2001-01-01): 1 units trust it")
        assert head.split() == [
            "UNIT",
            "STATUS",
            "SINCE",
            "(UTC)",
            "MAC",
            "ROOT",
            "ENDS",
            "REMARKS",
        ]
        assert [line.split()[:2] for line in units] == [
            ["CP-0002", "failed"], ["CP-0003", "not"], ["CP-0001", "proved"]
        ]  # fmt: skip
        assert units[0].endswith("boot: nothing came")

    def test_for_programs(self, project: Path) -> None:
        done = run("fleet", "status", "units.csv", "--json", cwd=project)
        *units, summary = map(json.loads, done.stdout.splitlines())
        assert [(unit["unit"], unit["status"]) for unit in units] == [
            ("CP-0001", "proved"), ("CP-0002", "failed"), ("CP-0003", "not_begun")
        ]  # fmt: skip
        assert summary["event"] == "status"
        assert (summary["total"], summary["done"]) == (3, 1)

    def test_only_some(self, project: Path) -> None:
        done = run("fleet", "status", "units.csv", "--status", "failed", "--json", cwd=project)
        assert [json.loads(line).get("unit") for line in done.stdout.splitlines()] == [
            "CP-0002",
            None,
        ]
        done = run("fleet", "status", "--expiring", "30", "--json", cwd=project)
        assert json.loads(done.stdout.splitlines()[0])["unit"] == "CP-0001"

    def test_without_file_and_ledger(self, tmp_path: Path) -> None:
        done = run("fleet", "status", cwd=tmp_path)
        assert done.returncode == 2
        assert "there is no ledger yet" in done.stderr
        assert not list(tmp_path.iterdir())  # a look makes nothing

    def test_a_bad_row_keeps_nobody_from_looking(self, project: Path) -> None:
        (project / "units.csv").write_text(UNITS + "CP 0004 ?,SN4\n")
        done = run("fleet", "status", "units.csv", cwd=project)
        assert done.returncode == 0
        assert "rows with problems are left out" in done.stderr
        assert "1 of 3 units" in done.stdout


class TestExport:
    def test_csv_on_stdout(self, project: Path) -> None:
        done = run("fleet", "export", "units.csv", cwd=project)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        assert [(row["unit"], row["mac"]) for row in rows] == [
            ("CP-0001", MAC), ("CP-0002", ""), ("CP-0003", "")
        ]  # fmt: skip

    def test_json_in_a_file(self, project: Path) -> None:
        done = run("fleet", "export", "--out", "units.jsonl", "--json", cwd=project)
        assert json.loads(done.stdout) == {"event": "exported", "file": "units.jsonl", "units": 2}
        rows = [json.loads(line) for line in (project / "units.jsonl").read_text().splitlines()]
        assert [row["status"] for row in rows] == ["proved", "failed"]

    def test_two_meanings_of_json(self, project: Path) -> None:
        assert run("fleet", "export", "--json", cwd=project).returncode == 2


class TestReport:
    def test_a_page(self, project: Path) -> None:
        done = run("fleet", "report", "units.csv", "--title", "Depot <1>", "--json", cwd=project)
        assert json.loads(done.stdout)["done"] == 1
        page = (project / "fleet-report.html").read_text()
        assert "<title>Depot &lt;1&gt;</title>" in page
        assert "nothing came" in page

    def test_a_folder_that_is_none(self, project: Path) -> None:
        (project / "file").write_text("")
        done = run("fleet", "report", "--out", "file/report.html", cwd=project)
        assert done.returncode in (1, 2, 3)
        assert "Traceback" not in done.stderr


class TestLabels:
    def test_a_provisioned_unit(self, project: Path) -> None:
        done = run("labels", "units.csv", "--unit", "CP-0001", "--out", "one.png", cwd=project)
        assert (done.returncode, done.stdout) == (0, "one.png: 1 label as png\n")
        [code] = zxingcpp.read_barcodes(Image.open(project / "one.png"))
        assert code.text.endswith("/CP-0001")
        ledger = open_ledger(project / ".evtool" / "ledger.db")
        last = ledger.history(unit="CP-0001")[-1]
        ledger.close()
        assert (last.event, last.mac) == ("label", MAC)
        assert last.fields == {"format": "png", "passphrase": False}

    def test_no_label_before_a_mac_is_known(self, project: Path) -> None:
        done = run("labels", "units.csv", "--out", "all.pdf", cwd=project)
        assert done.returncode == 2
        assert "CP-0002: [[text]] 4: {mac} has no value before the unit is provisioned" in (
            done.stderr
        )
        assert "CP-0001:" not in done.stderr
        assert not (project / "all.pdf").exists()

    def test_a_file_for_each_unit(self, project: Path) -> None:
        shown = run("labels", "--show-label", cwd=project).stdout
        (project / "label.toml").write_text(shown.replace("{mac}", "{ssid}"))
        options = ("labels", "units.csv", "--label", "label.toml")
        done = run(*options, "--out", "out", "--format", "svg", "--json", cwd=project)
        assert json.loads(done.stdout)["labels"] == 3
        assert sorted(path.name for path in (project / "out").iterdir()) == [
            "CP-0001.svg", "CP-0002.svg", "CP-0003.svg"
        ]  # fmt: skip
        done = run(*options, "--out", "one.svg", cwd=project)
        assert done.returncode == 2
        assert "3 labels as svg are a file each" in done.stderr
        done = run(*options, "--out", "-", "--format", "zpl", cwd=project)
        assert done.stdout.count("^XA") == 3
        done = run(*options, "--dry-run", "--json", cwd=project)
        assert json.loads(done.stdout) == {"event": "plan", "labels": 3, "format": "pdf"}

    def test_a_passphrase_needs_a_word_and_a_private_file(self, project: Path) -> None:
        (project / "label.toml").write_text(WIFI_LABEL)
        options = ["labels", "units.csv", "--unit", "CP-0003", "--label", "label.toml"]
        options += ["--out", "one.png"]
        done = run(*options, cwd=project, EVTOOL_WIFI_PASSPHRASE=PASSPHRASE)
        assert done.returncode == 2
        assert "--with-secrets" in done.stderr
        done = run(*options, "--with-secrets", cwd=project, EVTOOL_WIFI_PASSPHRASE=PASSPHRASE)
        assert done.returncode == 0, done.stderr
        assert PASSPHRASE not in done.stdout + done.stderr
        assert stat.S_IMODE((project / "one.png").stat().st_mode) == 0o600
        [code] = zxingcpp.read_barcodes(Image.open(project / "one.png"))
        assert f"P:{PASSPHRASE};" in code.text
        for path in (project / ".evtool").iterdir():
            assert PASSPHRASE.encode() not in path.read_bytes()

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            (("units.csv",), "where to?"),
            (("units.csv", "--out", "x.pdf", "--unit", "CP-9"), "--unit CP-9: not in units.csv"),
            (("none.csv", "--out", "x.pdf"), "cannot read none.csv"),
            (("units.csv", "--out", "x.pdf", "--label", "none.toml"), "cannot read none.toml"),
            (("units.csv", "--out", "x.pdf", "--label", "units.csv"), "units.csv: not valid TOML"),
        ],
    )
    def test_what_a_user_can_get_wrong(
        self, project: Path, options: tuple[str, ...], text: str
    ) -> None:
        done = run("labels", *options, cwd=project)
        assert done.returncode == 2
        assert text in done.stderr
        assert "Traceback" not in done.stderr
