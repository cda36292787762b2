# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fleet stands: rows, figures, and the page in a real browser."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fleet_records import OTHER_ROOT, ROOT, Records
from headless import browse

from evtool.protocol.ledger_record import Record
from evtool.provision.report.html import by_interest, render_report
from evtool.provision.report.rows import COLUMNS, csv_lines, days_left, unit_row, unit_rows
from evtool.provision.report.summary import Summary, summarize

NOW = datetime(2030, 1, 20, 12, tzinfo=UTC)
MAC = "24:6f:28:00:00:01"


def fleet() -> list[list[Record]]:
    """Two proved units, one of them at the second try, one that failed, and one that left."""
    records = Records()
    first = records.proved("AC-1", MAC)
    records.pass_days(1)
    second = [
        *records.failed("AC-2", "write", "device", "the board is gone"),
        *records.proved("AC-2", "24:6f:28:00:00:02", OTHER_ROOT, "2030-02-01T00:00:00+00:00")[1:],
    ]
    third = records.failed("AC-3", "boot", "device", "nothing came <within> 15 s")
    fourth = records.proved("AC-4", "24:6f:28:00:00:04")
    fourth.append(records.add("decommissioned", "AC-4", "24:6f:28:00:00:04"))
    return [first, second, third, fourth]


def figures(*, expiring_days: int = 90) -> Summary:
    return summarize(unit_rows(fleet(), ["AC-1", "AC-5"]), NOW, expiring_days)


def page() -> str:
    rows = list(unit_rows(fleet(), ["AC-1", "AC-5"]))
    return "".join(render_report(by_interest(rows), figures(), "Fleet <north>"))


class TestRows:
    def test_what_a_station_recorded_moves_no_cursor(self) -> None:
        [row] = unit_rows([Records().failed("AC-1", "boot", "check", "\x1b[2J\0 said\u202e")])
        assert row.failed_reason == " [2J  said "

    def test_a_unit_that_went_through(self) -> None:
        row = unit_row(fleet()[0])
        assert row is not None
        assert (row.unit, row.status, row.mac) == ("AC-1", "proved", MAC)
        assert row.is_done
        assert row.first_pass is True
        assert row.serial_number == "SN-AC-1"
        assert row.security_profile == 2
        assert row.proved_at == row.since == "2030-01-01T00:03:00.000Z"

    def test_a_failure_that_is_mended_stays_on_record(self) -> None:
        row = unit_row(fleet()[1])
        assert row is not None
        assert (row.status, row.first_pass) == ("proved", False)
        assert (row.failed_step, row.failed_cause) == ("write", "device")

    @pytest.mark.parametrize("event", ["rotated", "rolled_back"])
    def test_what_was_written_and_not_proved_is_not_done(self, event: str) -> None:
        records = Records()
        held = [*records.proved("AC-1", MAC), records.add(event, "AC-1", MAC)]
        row = unit_row(held)
        assert row is not None
        assert (row.status, row.is_done) == (event, False)
        row = unit_row([*held, records.add("proved", "AC-1", MAC)])
        assert row is not None
        assert row.is_done

    def test_units_that_only_the_file_knows_come_last(self) -> None:
        rows = list(unit_rows(fleet(), ["AC-5", "AC-1", "AC-6"]))
        assert [(row.unit, row.status) for row in rows] == [
            ("AC-1", "proved"),
            ("AC-2", "proved"),
            ("AC-3", "failed"),
            ("AC-4", "decommissioned"),
            ("AC-5", "not_begun"),
            ("AC-6", "not_begun"),
        ]

    def test_a_unit_carries_a_certificate_of_its_own(self) -> None:
        claimed, written, proved = Records().proved("AC-1", MAC)
        own = {"certificate_sha256": "ef" * 32, "certificate_not_after": "2030-03-01T00:00:00Z"}
        held = replace(written, fields={**written.fields, **own})
        row = unit_row([claimed, held, proved])
        assert row is not None
        assert row.certificate_sha256 == "ef" * 32
        assert row.expires_within(39, NOW)
        assert not row.expires_within(38, NOW)
        plain = unit_row([claimed, written, proved])
        assert plain is not None
        assert (plain.certificate_sha256, plain.expires_within(40, NOW)) == ("", False)

    def test_no_records(self) -> None:
        assert unit_row([]) is None

    @pytest.mark.parametrize(
        ("text", "days"),
        [
            ("", None),
            ("2030-01-21T12:00:00+00:00", 1),
            ("2030-01-21T11:59:59+00:00", 0),
            ("2030-01-20T11:00:00Z", -1),
            ("2030-01-22T12:00:00", 2),
        ],
    )
    def test_days_left(self, text: str, days: int | None) -> None:
        assert days_left(text, NOW) == days


class TestCsv:
    def test_it_reads_back(self) -> None:
        text = "".join(csv_lines(unit_rows(fleet())))
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert tuple(rows[0]) == COLUMNS
        assert rows[0]["unit"] == "AC-1"
        assert rows[0]["first_pass"] == "true"
        assert rows[2]["failed_reason"] == "nothing came <within> 15 s"
        assert rows[2]["security_profile"] == ""
        assert text.count("\r\n") == 5

    def test_no_cell_is_a_formula(self) -> None:
        records = Records().failed("=1+2", "boot", "device", "@SUM(A1)\r\nsecond line")
        [row] = csv.DictReader(io.StringIO("".join(csv_lines(unit_rows([records]))), newline=""))
        assert row["unit"] == "'=1+2"
        assert row["failed_reason"] == "'@SUM(A1)  second line"


class TestSummary:
    def test_figures(self) -> None:
        summary = figures()
        assert (summary.total, summary.done, summary.gone) == (4, 2, 1)
        assert (summary.tried, summary.first_pass) == (3, 1)
        assert summary.yield_percent() == pytest.approx(33.333, abs=0.001)
        assert summary.statuses == {
            "proved": 2, "failed": 1, "decommissioned": 1, "not_begun": 1
        }  # fmt: skip
        assert summary.proofs == {"2030-01-01": 1, "2030-01-02": 1}
        assert summary.failures.total() == 2
        assert summary.unmended.total() == 1

    def test_which_roots_units_trust(self) -> None:
        soon, late = figures().roots()
        assert (soon.sha256, soon.units, soon.days_left) == (OTHER_ROOT, 1, 11)
        assert (late.sha256, late.units) == (ROOT, 1)

    @pytest.mark.parametrize(("days", "units"), [(10, 0), (11, 1), (4000, 2)])
    def test_what_expires(self, days: int, units: int) -> None:
        assert figures(expiring_days=days).expiring == units

    def test_an_empty_ledger(self) -> None:
        summary = summarize([], NOW, 90)
        assert summary.yield_percent() is None
        assert summary.as_dict()["first_pass_yield_percent"] is None
        assert "No unit is in the ledger" in "".join(render_report([], summary, "x"))


class TestPage:
    def test_it_needs_nothing_else(self) -> None:
        assert not re.search(r'(src|href)="(?!#)|@import|url\(', page())

    def test_texts_are_no_markup(self) -> None:
        assert "<within>" not in page()
        assert "nothing came &lt;within&gt; 15 s" in page()
        assert "<h1>Fleet &lt;north&gt;</h1>" in page()

    def test_units_in_the_order_of_interest(self) -> None:
        units = re.findall(r"<th scope=\"?row\"?>([^<]*)</th>", page())
        assert units == ["AC-3", "AC-5", "AC-1", "AC-2", "AC-4"]

    def test_in_a_browser(self, tmp_path: Path) -> None:
        """The table can be searched and sorted, and nothing is wider than the window."""
        probe = """<script>addEventListener("load", () => {
          const shown = () => [...document.querySelectorAll("table.units tbody tr")]
            .filter((row) => !row.hidden).map((row) => row.cells[0].textContent).join(",");
          const said = [];
          const input = document.querySelector(".find input");
          for (const text of ["ac-3", "PROVED 24:6f", "nothing-like-it", ""]) {
            input.value = text; input.dispatchEvent(new Event("input"));
            said.push(shown() + "/" + input.nextElementSibling.textContent);
          }
          const head = document.querySelector("table.units thead th");
          head.click(); said.push(shown());
          head.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" })); said.push(shown());
          said.push(String(document.documentElement.scrollWidth <= innerWidth));
          document.title = said.join("|");
        });</script></body>"""
        file = tmp_path / "report.html"
        file.write_text(page().replace("</body>", probe), encoding="utf-8")
        dom = browse(tmp_path, file, "--window-size=1280,900", "--dump-dom")
        title = re.search(r"<title>([^<]*)</title>", dom)
        assert title is not None
        assert title[1].split("|") == [
            "AC-3/1 of 5 units",
            "AC-1,AC-2/2 of 5 units",
            "/0 of 5 units",
            "AC-3,AC-5,AC-1,AC-2,AC-4/5 units",
            "AC-1,AC-2,AC-3,AC-4,AC-5",
            "AC-5,AC-4,AC-3,AC-2,AC-1",
            "true",
        ]
