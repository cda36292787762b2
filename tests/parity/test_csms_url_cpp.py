# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSMS URL in C++ (evidentity) and in Python: the same parts, the same refusals."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from once import Once

from evtool.protocol.csms_url import charge_point_url, parse_csms_url
from evtool.resources import firmware_dir

# Two lines a case, both hex: URL, identity. One line back.
PROGRAM = r"""
#include <cstdio>
#include <iostream>
#include <string>
#include "evidentity/url.hpp"

static std::string unhex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return out;
}

int main() {
  std::string url, identity;
  while (std::getline(std::cin, url) && std::getline(std::cin, identity)) {
    evidentity::Url parts;
    if (evidentity::parse_url(unhex(url), parts)) {
      std::cout << parts.tls << ' ' << parts.host << ' ' << parts.port << ' ' << parts.path << ' '
                << evidentity::charge_point_url(unhex(url), unhex(identity)) << '\n';
    } else {
      std::cout << "refused\n";
    }
  }
}
"""


@pytest.fixture(scope="module")
def cpp(session_gxx: str, once: Once) -> Path:
    return once("csms-url", lambda folder: _build(session_gxx, folder)) / "main"


def _build(gxx: str, folder: Path) -> None:
    (folder / "main.cpp").write_text(PROGRAM)
    library = firmware_dir() / "lib" / "evidentity"
    subprocess.run(
        [gxx, "-std=c++17", f"-I{library / 'include'}", "main.cpp", library / "src" / "url.cpp",
         "-o", "main"],
        cwd=folder,
        check=True,
        timeout=100,
    )  # fmt: skip


def in_python(url: str, identity: str) -> str:
    try:
        parts = parse_csms_url(url)
    except ValueError:
        return "refused"
    full = charge_point_url(url, identity)
    return f"{int(parts.tls)} {parts.host} {parts.port} {parts.path} {full}"


def in_cpp(program: Path, cases: list[tuple[str, str]]) -> list[str]:
    text = "".join(f"{u.encode().hex()}\n{i.encode().hex()}\n" for u, i in cases)
    done = subprocess.run(
        [program], input=text.encode(), capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode().splitlines()


DIRECTED = [
    ("ws://h", "CP-1"),
    ("ws://h/", "CP-1"),
    ("ws://h//", "CP-1"),
    ("wss://h:8443/a/b/", "CP 1"),
    ("WSS://H/ocpp", "CP-1"),
    ("ws://h/ocpp/CP-1", "CP-1"),
    ("ws://h/ocpp/CP-1/", "CP-1"),
    ("ws://h/ocpp/RDAM%20123", "RDAM 123"),
    ("ws://h/ocpp//CP-1", "CP-1"),
    ("ws://h/xCP-1", "CP-1"),
    ("ws://CP-1", "CP-1"),
    ("ws://[::1]:9000/x", "\N{LATIN SMALL LETTER E WITH ACUTE}/~"),
    ("ws://[]:9000/x", "c"),
    ("ws://[::1]x/", "c"),
    ("ws://h:/", "c"),
    ("ws://h:0", "c"),
    ("ws://h:65536", "c"),
    ("ws://h:00080", "c"),
    ("ws://h:000080", "c"),
    ("ws://u@h/", "c"),
    ("ws://h/#f", "c"),
    ("ws://h/?q=1", "c"),
    ("ws://h?q=1", "c"),
    ("http://h", "c"),
    ("ws:/h", "c"),
    ("ws://", "c"),
    ("", "c"),
]


def test_directed(cpp: Path) -> None:
    assert in_cpp(cpp, DIRECTED) == [in_python(*case) for case in DIRECTED]


PIECES = st.sampled_from(
    ["ws://", "wss://", "h", ":", "/", "80", "[", "]", "CP-1", "%20", "?", "@"]
)
URLS = st.lists(PIECES, max_size=9).map("".join) | st.lists(PIECES, max_size=7).map(
    lambda pieces: "ws://h" + "".join(pieces)
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(URLS, st.sampled_from(["CP-1", "CP 1", "h", "/"])), max_size=60))
def test_any_url(cpp: Path, cases: list[tuple[str, str]]) -> None:
    assert in_cpp(cpp, cases) == [in_python(*case) for case in cases]
