# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware's small portable parts, against Python's own idea of the same thing."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from once import Once

from evtool.protocol import can_tables
from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
# Reads lines of tab-separated hex words, answers each with one line of hex.
DRIVER = r"""
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "acceptance_filter.hpp"
#include "evcore/can_tables.hpp"
#include "evdiagnostics/report.hpp"
#include "evidentity/identity.hpp"
#include "evidentity/url.hpp"
#include "evocpp/iso_time.hpp"

static std::string unhex(const std::string& hex) { return evidentity::decode_key(hex); }

static std::string answer(const std::vector<std::string>& w) {
  if (w[0] == "unix") return std::to_string(evocpp::to_unix(w[1]));
  if (w[0] == "utc") return evocpp::to_utc(w[1]);
  if (w[0] == "url") return evidentity::charge_point_url(w[1], w[2]);
  if (w[0] == "parse") {
    evidentity::Url url;
    if (!evidentity::parse_url(w[1], url)) return "-";
    return std::string(url.tls ? "wss" : "ws") + "|" + url.host + "|" + std::to_string(url.port) +
           "|" + url.path;
  }
  if (w[0] == "basic") {
    evidentity::Identity identity;
    identity.charge_point = w[1];
    identity.authorization_key = w[2];
    identity.security_profile = static_cast<uint8_t>(std::stoi(w[3]));
    return evidentity::base64(evidentity::basic_credentials(identity));
  }
  if (w[0] == "report") {  // passphrase, key, client's key, then lines of the console
    evidentity::Identity identity;
    identity.wifi_passphrase = w[1];
    identity.authorization_key = w[2];
    identity.client_key = w[3];
    evdiagnostics::RecentLines lines;
    for (size_t i = 4; i < w.size(); ++i) lines.add(1000 * static_cast<long>(i), w[i]);
    return evdiagnostics::report(identity, {}, lines.text());
  }
  if (w[0] == "file_name") return evdiagnostics::file_name(w[1]);
  if (w[0] == "passes") {
    constexpr auto filter = acceptance::narrowest(evcore::can_tables::kReceivedIds);
    return acceptance::passes(filter, std::stoul(w[1], nullptr, 16)) ? "1" : "0";
  }
  return "?";
}

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::vector<std::string> words;
    std::stringstream stream(line + "\t");
    for (std::string word; std::getline(stream, word, '\t');) words.push_back(unhex(word));
    for (const char c : answer(words)) std::printf("%02x", static_cast<unsigned char>(c));
    std::printf("\n");
    std::fflush(stdout);
  }
}
"""

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def ask(session_gxx: str, once: Once) -> Ask:
    """Ask the compiled parts: a function's name and its arguments, all text."""
    driver = once("firmware-parts", lambda folder: _build(session_gxx, folder)) / "driver"

    def run(*words: str) -> str:
        return run_many(driver, [words])[0]

    return run


def _build(gxx: str, folder: Path) -> None:
    (folder / "driver.cpp").write_text(DRIVER)
    libraries = FIRMWARE / "lib"
    includes = [FIRMWARE / "src", *(libraries / n / "include" for n in LIBRARIES)]
    sources = [
        *(libraries / "evidentity" / "src").glob("*.cpp"),
        *(libraries / "evdiagnostics" / "src").glob("*.cpp"),
        libraries / "evocpp" / "src" / "iso_time.cpp",
    ]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address"]
    flags += [f"-I{include}" for include in includes]
    compiled = subprocess.run(
        [gxx, *flags, "driver.cpp", *sources, "-o", "driver"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert compiled.returncode == 0, compiled.stderr


LIBRARIES = ("evcore", "evidentity", "evocpp", "evdiagnostics")


def run_many(driver: Path, questions: list[tuple[str, ...]]) -> list[str]:
    text = "".join("\t".join(word.encode().hex() for word in q) + "\n" for q in questions)
    done = subprocess.run(
        [driver], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    return [bytes.fromhex(line).decode() for line in done.stdout.splitlines()]


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["", ".1", ".123", ".123456"]),
    st.booleans(),
)
def test_times_become_utc(
    ask: Ask, local: datetime, minutes: int, fraction: str, colon: bool
) -> None:
    local = local.replace(microsecond=0)
    zoned = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    sign, rest = ("-", -minutes) if minutes < 0 else ("+", minutes)
    zone = f"{sign}{rest // 60:02d}{':' if colon else ''}{rest % 60:02d}"
    expected = zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"
    assert ask("utc", text) == expected
    assert ask("unix", text) == str(max(int(zoned.timestamp()), -1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00+02", "2026-03-01T10:00:00Z"),
        ("2026-03-01 12:00:00", ""),
        ("2026-13-01T12:00:00Z", ""),
        ("2026-03-01T24:00:00Z", ""),
        ("2026-03-01T12:00:00+2", ""),
        ("2026-03-01T12:00:00Zx", ""),
        ("2026-03-01T12:00:00+02:0", ""),
        ("soon", ""),
    ],
)
def test_other_texts_are_left_alone(ask: Ask, text: str, expected: str) -> None:
    assert ask("utc", text) == expected
    assert (ask("unix", text) == "-1") == (expected == "")


@pytest.mark.parametrize(
    ("endpoint", "identity", "url"),
    [
        ("ws://h/ocpp", "CP-1", "ws://h/ocpp/CP-1"),
        ("ws://h/ocpp/", "CP-1", "ws://h/ocpp/CP-1"),
        ("ws://h", "CP-1", "ws://h/CP-1"),
        ("ws://h/ocpp/CP-1", "CP-1", "ws://h/ocpp/CP-1"),
        ("ws://h/ocpp/CP-1/", "CP-1", "ws://h/ocpp/CP-1"),
        ("ws://h/XCP-1", "CP-1", "ws://h/XCP-1/CP-1"),
        ("ws://h", "h", "ws://h/h"),
        ("ws://h/ocppj", "RDAM 123", "ws://h/ocppj/RDAM%20123"),
    ],
)
def test_the_identity_is_appended_once(ask: Ask, endpoint: str, identity: str, url: str) -> None:
    assert ask("url", endpoint, identity) == url


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12))
def test_the_identity_is_percent_encoded_as_in_python(ask: Ask, identity: str) -> None:
    assert ask("url", "ws://h/ocpp", identity) == "ws://h/ocpp/" + quote(identity, safe="~")


@pytest.mark.parametrize(
    "url",
    [
        "ws://csms.example/ocpp",
        "WSS://csms.example:8443/a/b",
        "wss://csms.example",
        "ws://127.0.0.1:9000/",
        "ws://[::1]:9000/ocpp",
    ],
)
def test_urls_are_taken_apart_as_in_python(ask: Ask, url: str) -> None:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "wss" else 80
    expected = f"{parts.scheme}|{parts.hostname}|{parts.port or default}|{parts.path or '/'}"
    assert ask("parse", url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("", "ws:/h", "http://h", "ws://", "ws://:80/", "ws://h:/", "ws://h:0/"),
        *("ws://h:65536/", "ws://h:8x/", "ws://u@h/", "ws://h/#f", "ws://h/ b"),
        *("ws://[::1", "ws://[]/", "ws://é/"),
    ],
)
def test_what_is_no_csms_url_is_refused(ask: Ask, url: str) -> None:
    assert ask("parse", url) == "-"


def test_basic_authorization_decodes_the_key(ask: Ask) -> None:
    key = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"
    # The example of OCPP-J 1.6, 6.2.2; its key begins with NUL.
    assert ask("basic", "AL1000", key, "1") == "QUwxMDAwOgABAgMEBQYH////////////////"
    for length in (16, 17, 18, 20):
        raw = bytes(range(200, 200 + length))
        expected = base64.b64encode(b"CP:" + raw).decode()
        assert ask("basic", "CP", raw.hex(), "2") == expected
    assert ask("basic", "CP", key, "0") == ask("basic", "CP", key, "3") == ""


def test_the_acceptance_filter_lets_ours_through_and_thins_out_the_rest(ask: Ask) -> None:
    for can_id in can_tables.RECEIVED_IDS:
        assert ask("passes", f"{can_id:x}") == "1"
    others = [f"{number << 13:x}" for number in range(0, 1 << 16, 1311)]
    passed = sum(ask("passes", can_id) == "1" for can_id in others)
    assert passed <= len(others) // 10


@pytest.mark.parametrize("around", ["{}", "x{}y", "ab {} z", "[event] pass={}"])
def test_a_report_holds_no_secret_in_any_form(ask: Ask, around: str) -> None:
    phrase, key = "correct horse", b"abcdefghijklmnopqrst"
    for secret in (phrase.encode(), key, key.hex().encode()):
        for form in (
            secret.decode(),
            secret.hex(),
            secret.hex().upper(),
            base64.b64encode(secret).decode(),
            base64.b64encode(b"CP-1:" + secret).decode(),
        ):
            planted = around.format(form)
            text = ask("report", phrase, key.hex(), "", "[event] boot", planted, "[event] end")
            assert planted not in text
            assert "4s [event] boot" in text
            assert "6s [event] end" in text
            assert "(left out)" in text


def test_a_report_holds_no_line_of_the_clients_key(ask: Ask) -> None:
    first, last = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB", "AQQgZr8="
    pem = f"-----BEGIN PRIVATE KEY-----\n{first}\n{last}\n-----END PRIVATE KEY-----\n"
    text = ask("report", "", "", pem, f"key={first}", f"  {last}", "-----", "[event] end")
    assert first not in text
    assert last not in text
    assert text.count("(left out)") == 2
    assert "6s -----\n7s [event] end" in text


def test_a_report_keeps_the_newest_lines(ask: Ask) -> None:
    lines = [f"[event] number={i:05d} " + "." * 80 for i in range(200)]
    text = ask("report", "", "", "", *lines)
    assert lines[-1] in text
    assert lines[0] not in text
    assert len(text) < 6144 + 300


def test_the_report_has_a_file_of_its_own(ask: Ask) -> None:
    assert ask("file_name", "CP-1/ä b") == "diagnostics-CP-1____b.txt"
