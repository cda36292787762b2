# SPDX-License-Identifier: GPL-3.0-or-later
"""When the unit connects again, what time it takes it to be, and which certificates pass then."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from once import Once

from evtool.resources import firmware_dir

EVNET = firmware_dir() / "lib" / "evnet"
LARGEST = 2**32 - 1
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Ask = Callable[..., list[str]]


@pytest.fixture(scope="module")
def ask(session_gxx: str, once: Once) -> Ask:
    """A fresh process for each list of questions; its answers, one a question."""
    program = once("evnet", lambda folder: _build(session_gxx, folder)) / "program"

    def run(*questions: str) -> list[str]:
        done = subprocess.run(
            [program], input="\n".join(questions) + "\n", capture_output=True, text=True,
            check=True, timeout=60,
        )  # fmt: skip
        return done.stdout.splitlines()

    return run


def _build(gxx: str, folder: Path) -> None:
    sources = [Path(__file__).with_name("evnet_main.cpp"), *(EVNET / "src").glob("*.cpp")]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address"]
    command = [gxx, *flags, f"-I{EVNET / 'include'}", *map(str, sources)]
    subprocess.run([*command, "-o", folder / "program"], check=True, timeout=110)


def test_the_waits_double_up_to_five_minutes(ask: Ask) -> None:
    waits = ask(f"start 1000 {LARGEST}", *(f"ended {n}000000 {LARGEST}" for n in range(1, 9)))
    assert list(map(int, waits)) == [
        *(5000, 10000, 20000, 40000, 80000, 160000, 300000, 300000, 300000)
    ]


def test_a_wait_is_anywhere_below_that_but_never_nothing(ask: Ask) -> None:
    assert ask("start 0 0", "ended 0 0") == ["500", "500"]
    [_, middle] = ask("start 0 0", f"ended 0 {LARGEST // 2}")
    assert 5200 < int(middle) < 5300  # half way from 0.5 s to 10 s


@pytest.mark.parametrize(("lasted_ms", "wait"), [(59999, "20000"), (60000, "5000")])
def test_only_a_connection_that_lasted_begins_anew(ask: Ask, lasted_ms: int, wait: str) -> None:
    answers = ask(
        f"start 0 {LARGEST}", f"ended 5000 {LARGEST}", "opened 15000",
        f"ended {15000 + lasted_ms} {LARGEST}",
    )  # fmt: skip
    assert answers[-1] == wait


def test_refused_for_an_hour_is_few_attempts(ask: Ask) -> None:
    """Each handshake is refused at once; the random number is the mean."""
    now, attempts, questions = 0, 0, [f"start 0 {LARGEST // 2}"]
    while now < 3600_000:
        now += int(ask(*questions)[-1])
        questions.append(f"ended {now} {LARGEST // 2}")
        attempts += 1
    assert attempts <= 32


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2000, 2, 29, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime(2100, 3, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_dates_become_seconds_as_in_python(ask: Ask, moment: datetime) -> None:
    assert ask(f"unix {moment:%Y %m %d %H %M %S}") == [str(int(moment.timestamp()))]


def test_without_word_the_time_is_at_least_the_latest_that_is_known(ask: Ask) -> None:
    assert ask("known 1000 2000", "read 3000")[-1] == "2003 at least"
    assert ask("known 3000 2000", "read 3000")[-1] == "3003 at least"


def test_a_time_before_that_is_not_believed(ask: Ask) -> None:
    answers = ask("known 1000 2000", "tell 1999 5000", "read 5000", "tell 2000 6000", "read 8000")
    assert answers[1:] == ["0", "2005 at least", "1", "2002 told"]


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("keep 90000 0 1 90000", "1"),
        ("keep 90000 0 0 90000", "0"),  # SNTP, or ws://: anybody could have said it
        ("keep 90000 0 1 89999", "0"),  # by it, the certificate that it came with has expired
        ("keep 90000 80000 1 99999", "0"),  # the flash has one of the same day
    ],
)
def test_what_time_outlives_a_restart(ask: Ask, question: str, kept: str) -> None:
    assert ask(question) == [kept]


@pytest.mark.parametrize(
    ("offset", "told", "verdict"),
    [
        (timedelta(seconds=-1), True, "not_yet_valid"),
        (timedelta(seconds=-1), False, "valid"),  # it may be later than we know
        (timedelta(0), True, "valid"),
        (timedelta(days=30), True, "valid"),
        (timedelta(days=30, seconds=1), True, "expired"),
        (timedelta(days=30, seconds=1), False, "expired"),
        (timedelta(days=9999), False, "expired"),
    ],
)
def test_a_certificate_against_the_time(
    ask: Ask, offset: timedelta, told: bool, verdict: str
) -> None:
    issued = Authority(NOON, days=3650).issue("csms.example", NOON, days=30).certificate
    begin, end = issued.not_valid_before_utc, issued.not_valid_after_utc
    now = int((begin + offset).timestamp())
    judge = f"judge {int(begin.timestamp())} {int(end.timestamp())} {now} {int(told)}"
    assert ask(judge) == [verdict]
