# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML and the HTML page: complete, self-contained, and drawn by a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from headless import browse

from evtool.reference_impl.lockstep import Lockstep
from evtool.verify.html_report import render_html
from evtool.verify.junit_report import render_junit
from evtool.verify.run import run_scenario
from evtool.verify.scenario import parse_scenario
from evtool.verify.verdict import Verdict

SCENARIO = """\
title = "A charge </script><b>& more"
rule = "docs/controller.md, The gate"
duration = "6s"
[[event]]
at = "1s"
do = "plug_in"
[[event]]
at = "2s"
do = "remote_start"
[[event]]
at = "3s"
do = "jump"
by = "2d"
[[event]]
at = "2900ms"
expect = { energised = 1 }
"""


class Device:
    """The reference with its answers changed; ends where `change` gives nothing."""

    name = "host"

    def __init__(self, old: str = "", new: str | None = "") -> None:
        self.old, self.new = old, new

    def start(self) -> Session:
        return Session(self.old, self.new)


class Session:
    def __init__(self, old: str, new: str | None) -> None:
        self._old, self._new = old, new
        self._reference = Lockstep()
        self._answers: list[str] = []
        self._dead = False

    def give(self, lines: Sequence[str]) -> None:
        for line in lines:
            text = "\n".join((*self._reference.answer(line), ""))
            self._dead = self._dead or (self._new is None and self._old in text)
            if not self._dead:
                self._answers.append(text.replace(self._old, self._new or self._old))

    def answers(self, count: int) -> str:
        given, self._answers = self._answers[:count], self._answers[count:]
        return "".join(given)

    def ended(self) -> str:
        return "the program was ended by signal 6\n    runtime error: \x1b[1mshift"

    def close(self) -> None:
        pass


def verdicts() -> list[Verdict]:
    scenario = parse_scenario(SCENARIO, Path("charge.toml"))
    devices = (Device(), Device("energised=1", "energised=0"), Device("energised=1", None))
    return [run_scenario(scenario, device, with_timeline=True) for device in devices]


def test_junit_has_a_case_a_run_and_tells_a_crash_from_a_difference() -> None:
    found = verdicts()
    root = ET.fromstring(render_junit(found, "host"))  # noqa: S314 - our own text
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    passed, failed, crashed = suite
    assert passed.get("name") == "charge"
    assert float(passed.get("time", "x")) >= 0
    assert len(passed) == 0
    assert "energised: reference 1, device 0" in (failed[0].get("message") or "")
    assert "the last inputs" in (failed[0].text or "")
    assert crashed[0].tag == "error"
    assert "runtime error: ?[1mshift" in (crashed[0].text or ""), "no sign that XML forbids"


def test_the_timeline_holds_both_courses_where_they_part() -> None:
    equal, different, crashed = (verdict.timeline for verdict in verdicts())
    assert equal is not None
    assert different is not None
    assert crashed is not None
    assert equal.device is None
    assert different.device is not None
    assert set(different.device) == {"energised"}
    assert [value for _, value in different.device["energised"]] == ["0"]
    assert "1" in [value for _, value in different.reference["energised"]]
    assert different.gaps == ((2980, 2980 + 2 * 86_400_000 + 20),)
    assert crashed.end_ms < equal.end_ms


def test_the_page_needs_nothing_else() -> None:
    page = render_html(verdicts(), "host")
    assert not re.search(r"(src|href)=\"(?!#)|@import|url\((?!#)|https?://(?!www\.w3\.org)", page)
    assert "</script><b>" not in page
    assert page.count("</script>") == 2
    assert "A charge &lt;/script&gt;&lt;b&gt;&amp; more" in page
    data = re.search(r'id="runs">(.*)</script>', page)
    assert data is not None
    runs = json.loads(data.group(1))
    assert [run["first"] is None for run in runs] == [True, False, False]
    assert "first difference at" in runs[1]["first"]["text"]


PROBE = """
<script>
const report = {};
const svg = document.querySelector("#plot-1 svg");
const labels = () => [...svg.querySelectorAll("text")].map((each) => each.textContent);
const box = svg.getBoundingClientRect();
const send = (type, x, more = {}) => svg.dispatchEvent(new PointerEvent(type,
  {clientX: box.left + x * box.width, clientY: box.top + 100, button: 0, bubbles: true,
   cancelable: true, ...more}));
svg.setPointerCapture = () => {};
report.plots = document.querySelectorAll("svg.plot").length;
report.whole = labels();
report.reference = svg.querySelectorAll(".on.gate.reference, .on.transaction.reference").length;
report.curves = svg.querySelectorAll(".curve").length;
document.querySelector("#plot-1 [data-do=first]").click();
report.zoomed = labels();
send("pointermove", 0.6);
report.readout = document.querySelector("#plot-1 .readout").textContent;
const press = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", {key, cancelable: true}));
press("0");
report.again = labels();
press("+");
report.keyed = labels();
press("ArrowRight");
report.moved = labels();
press("Home");
send("pointerdown", 0.2); send("pointermove", 0.3); send("pointerup", 0.3);
report.dragged = labels();
svg.dispatchEvent(new MouseEvent("dblclick"));
report.back = labels();
svg.dispatchEvent(new WheelEvent("wheel", {deltaY: -100, ctrlKey: true, clientX: box.left + 600,
  cancelable: true}));
report.wheeled = labels();
report.wide = document.documentElement.scrollWidth;
const out = document.createElement("pre");
out.id = "report";
out.textContent = JSON.stringify(report);
document.body.appendChild(out);
</script></body>"""


def test_a_browser_draws_it_and_zooms(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_html(verdicts(), "host").replace("</body>", PROBE))
    dom = browse(tmp_path, page, "--window-size=1280,900", "--dump-dom")
    found = re.search(r'<pre id="report">(.*?)</pre>', dom)
    assert found is not None
    report = json.loads(found.group(1).replace("&lt;", "<").replace("&amp;", "&"))
    assert report["plots"] == 3
    for label in ("Voltage (V)", "Current (A)", "Temperature (\u00b0C)", "gate", "permitted"):
        assert label in report["whole"]
    assert any(label.startswith("first difference at") for label in report["whole"])
    assert "2 d" in report["whole"], "the pause is drawn short and says how long it is"
    assert any(label.startswith("time (") for label in report["whole"])
    assert report["reference"] >= 1
    assert report["curves"] >= 7
    assert report["zoomed"] != report["whole"] == report["again"] == report["back"]
    assert "measured" in report["readout"]
    assert "gate" in report["readout"]
    assert len({tuple(report[key]) for key in ("whole", "keyed", "moved", "dragged")}) == 4
    assert report["wheeled"] != report["whole"]
    assert report["wide"] <= 1280
