# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware's counts of resets, its hold-off after a row of them, and the heap's marks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from once import Once

from evtool.protocol.console import Record, parse_line
from evtool.protocol.partition_table import parse as parse_partitions
from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
# A line of words gives a line: `start REASON`, `at MS`, `heap MS FREE LOWEST BLOCK`, `lines`.
DRIVER = r"""
#include <iostream>
#include <memory>
#include <sstream>

#include "evhealth/health.hpp"

using namespace evhealth;

int main() {
  Health health;
  HeapWatch watch;
  auto guard = std::make_unique<CrashGuard>(0);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string word;
    in >> word;
    if (word == "start") {
      in >> word;
      const Reset reset = word == "panic"      ? Reset::panic
                          : word == "brownout" ? Reset::brownout
                          : word == "watchdog" ? Reset::watchdog
                          : word == "power_on" ? Reset::power_on
                                               : Reset::wanted;
      const ResetCounts before = health.resets;
      health.resets = counted(before, reset);
      guard = std::make_unique<CrashGuard>(health.resets.in_a_row);
      std::cout << health.resets.panics << ' ' << health.resets.brownouts << ' '
                << health.resets.watchdogs << ' ' << health.resets.in_a_row
                << (health.resets != before ? " write" : "");
    } else if (word == "at") {
      in >> health.uptime_ms;
      health.network_held = guard->held(health.uptime_ms);
      std::cout << (health.network_held ? "held" : "network");
      if (guard->row_ended(health.uptime_ms)) {
        health.resets.in_a_row = 0;
        std::cout << " row_ended";
      }
    } else if (word == "heap") {
      Millis now = 0;
      in >> now >> health.heap.free >> health.heap.lowest_free >> health.heap.largest_block;
      std::cout << (watch.turn(now, health.heap) ? "tell" : "quiet");
      health.smallest_block = watch.smallest_block();
    } else if (word == "full") {
      health.resets.panics = health.resets.in_a_row = UINT32_MAX;
      std::cout << "ok";
    } else {
      health.core_dump = true;
      std::cout << resets_line(health).view() << '|' << heap_line(health).view() << '|'
                << held_line(health).view() << '|' << render_health(health);
    }
    std::cout << "\n--" << std::endl;
  }
}
"""
Ask = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def ask(session_gxx: str, once: Once) -> Ask:
    """The lines' answers, by a program that begins anew."""
    driver = once("health", lambda folder: _build(session_gxx, folder)) / "driver"

    def run(lines: list[str]) -> list[str]:
        done = subprocess.run(
            [driver],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.split("\n--\n")[:-1]

    return run


def _build(gxx: str, folder: Path) -> None:
    (folder / "driver.cpp").write_text(DRIVER)
    library = FIRMWARE / "lib" / "evhealth"
    includes = [library / "include", FIRMWARE / "lib" / "evcore" / "include"]
    compiled = subprocess.run(
        [gxx, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
        + [f"-I{include}" for include in includes]
        + ["driver.cpp", *map(str, (library / "src").glob("*.cpp")), "-o", "driver"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert compiled.returncode == 0, compiled.stderr


def test_each_reset_is_counted_as_what_it_was_and_written_once(ask: Ask) -> None:
    starts = ["power_on", "panic", "brownout", "wanted", "watchdog", "power_on", "panic"]
    assert ask([f"start {reason}" for reason in starts]) == [
        "0 0 0 0",
        "1 0 0 1 write",
        "1 1 0 2 write",
        "1 1 0 2",
        "1 1 1 3 write",
        "1 1 1 0 write",
        "2 1 1 1 write",
    ]
    assert ask(["full", "start panic"])[1] == "4294967295 0 0 4294967295"


def test_five_crashes_in_a_row_hold_the_network_for_ten_minutes(ask: Ask) -> None:
    answers = ask(
        ["start panic"] * 4 + ["at 0", "start watchdog", "at 0", "at 599999", "at 600000"]
    )
    assert answers[4] == "network"
    assert answers[6:] == ["held", "held", "network"]


def test_a_crash_after_the_hold_begins_the_next_one(ask: Ask) -> None:
    crashes = ["start panic"] * 5
    answers = ask([*crashes, "at 600000", "at 719999", "start panic", "at 0"])
    assert answers[-3:] == ["network", "6 0 0 6 write", "held"]


def test_a_start_that_lasts_ends_the_row_once(ask: Ask) -> None:
    answers = ask(["start panic", "at 119999", "at 120000", "at 120001", "start panic"])
    assert answers[1:] == ["network", "network row_ended", "network", "2 0 0 1 write"]
    held = ask(["start panic"] * 5 + ["at 120000", "at 719999", "at 720000", "start panic", "at 0"])
    assert held[5:] == ["held", "network", "network row_ended", "6 0 0 1 write", "network"]


def test_power_ends_a_row_and_a_wanted_restart_does_not(ask: Ask) -> None:
    answers = ask(["start brownout"] * 5 + ["start wanted", "at 0", "start power_on", "at 0"])
    assert answers[6] == "held"
    assert answers[8] == "network"


def test_a_start_without_a_crash_has_no_row_to_end(ask: Ask) -> None:
    assert ask(["start power_on", "at 120000"])[1] == "network"


def test_the_heap_is_told_at_each_lower_threshold_and_once_an_hour(ask: Ask) -> None:
    assert ask(
        [
            "heap 1000 200000 180000 110000",
            "heap 2000 150000 65536 110000",
            "heap 3000 150000 65535 110000",
            "heap 4000 150000 60000 110000",
            "heap 5000 150000 60000 49151",
            "heap 6000 150000 60000 110000",
            "heap 7000 150000 60000 50000",
            "heap 8000 150000 5000 50000",
            "heap 3608000 150000 5000 50000",
            "heap 3609000 150000 5000 50000",
        ]
    ) == ["quiet", "quiet", "tell", "quiet", "tell", "quiet", "quiet", "tell", "tell", "quiet"]


def test_the_lines_are_records_and_the_text_has_every_number(ask: Ask) -> None:
    lines = ["start panic"] * 3 + ["start brownout", "at 61000", "heap 61000 150000 65000 50000"]
    resets, heap, held, text = ask([*lines, "lines"])[-1].split("|")
    assert parse_line(resets) == Record(
        "event",
        {"panics": "3", "brownouts": "1", "watchdogs": "0", "core_dump": "kept"},
        "resets",
    )
    assert heap == "[event] heap free=150000B lowest=65000B block=50000B smallest_block=50000B"
    assert held == "[event] crash_loop crashes=4 network=held for=600s"
    assert all(isinstance(parse_line(line), Record) for line in (heap, held))
    assert dict(line.split("=") for line in text.splitlines()) == {
        "uptime_s": "61",
        "panics": "3",
        "brownouts": "1",
        "watchdogs": "0",
        "crashes_in_a_row": "4",
        "network_held": "no",
        "core_dump": "kept",
        "heap_free_bytes": "150000",
        "heap_lowest_free_bytes": "65000",
        "heap_largest_block_bytes": "50000",
        "heap_smallest_largest_block_bytes": "50000",
        "storage_formats": "0",
    }


@pytest.mark.parametrize(
    "line",
    [
        "[event] nvs state=erased register=kept",
        "[event] storage state=formatted",
        "[event] identity source=secrets.h",
        "[event] identity field=evcfg rule=readable",
        "[event] tls verification=off",
        "[event] crash_loop network=started",
    ],
)
def test_the_monitor_reads_the_other_lines(line: str) -> None:
    assert isinstance(parse_line(line), Record)


def test_arduino_can_erase_the_firmwares_own_nvs_only() -> None:
    """It takes the first NVS partition of the table for the one that it could not open."""
    table = parse_partitions((FIRMWARE / "partitions.csv").read_text(encoding="utf-8"))
    assert next(each for each in table if each.subtype_name == "nvs").name == "nvs"


def test_every_event_that_the_firmware_prints_is_documented() -> None:
    documented = (FIRMWARE.parent / "docs" / "serial-console.md").read_text(encoding="utf-8")
    for source in (FIRMWARE / "src").glob("*.cpp"):
        for part in source.read_text(encoding="utf-8").split('"[event] ')[1:]:
            kind = part.split(" ")[0]
            assert f"`{kind} " in documented, f"{source.name}: {kind}"
