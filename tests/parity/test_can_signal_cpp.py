# SPDX-License-Identifier: GPL-3.0-or-later
"""The C++ codec against the Python one, bit for bit, over frames that hypothesis chooses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from once import Once

from evtool.protocol.can_signal import ByteOrder, Kind, Signal
from evtool.resources import firmware_dir

STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic", "-O1"]

# One case a line: start length order kind data value; answers: extract extract_signed inserted
PROGRAM = r"""
#include <cstdio>
#include "evcore/can_signal.hpp"

int main() {
  unsigned start = 0, length = 0, order = 0, kind = 0;
  unsigned long long data = 0, value = 0;
  while (std::scanf("%u %u %u %u %llx %llx", &start, &length, &order, &kind, &data, &value) == 6) {
    const evcore::Signal signal{static_cast<std::uint8_t>(start), static_cast<std::uint8_t>(length),
                                static_cast<evcore::ByteOrder>(order),
                                static_cast<evcore::SignalKind>(kind)};
    evcore::CanData bytes{};
    for (unsigned i = 0; i < 8; ++i) {
      bytes[i] = static_cast<std::uint8_t>(data >> (56 - 8 * i));
    }
    std::printf("%llu %lld ", static_cast<unsigned long long>(signal.extract(bytes)),
                static_cast<long long>(signal.extract_signed(bytes)));
    signal.insert(bytes, value);
    for (const std::uint8_t byte : bytes) {
      std::printf("%02x", byte);
    }
    std::printf("\n");
  }
}
"""
ORDERS = {ByteOrder.BIG_ENDIAN: 0, ByteOrder.LITTLE_ENDIAN: 1}
KINDS = {Kind.UNSIGNED: 0, Kind.SIGNED: 1, Kind.FLOAT: 2}


@pytest.fixture(scope="module")
def codec(session_gxx: str, once: Once) -> Path:
    return once("codec", lambda folder: _build(session_gxx, folder)) / "codec"


def _build(gxx: str, folder: Path) -> None:
    (folder / "codec.cpp").write_text(PROGRAM)
    include = firmware_dir() / "lib" / "evcore" / "include"
    subprocess.run(
        [gxx, *STRICT, "-fsanitize=undefined", "-fno-sanitize-recover=all", f"-I{include}",
         "codec.cpp", "-o", "codec"],
        cwd=folder,
        check=True,
        timeout=100,
    )  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[Signal, bytes, int]:
    length = draw(st.integers(1, 64))
    place = draw(st.integers(0, 64 - length))
    order = draw(st.sampled_from(ByteOrder))
    start = place if order is ByteOrder.LITTLE_ENDIAN else place & ~7 | 7 - place % 8
    signal = Signal(start, length, order, draw(st.sampled_from(Kind)))
    value = draw(st.integers(signal.lowest, signal.highest))
    return signal, draw(st.binary(min_size=8, max_size=8)), value


def as_int64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@settings(max_examples=25, deadline=None)
@given(batch=st.lists(cases(), min_size=1, max_size=60))
def test_both_codecs_agree(codec: Path, batch: list[tuple[Signal, bytes, int]]) -> None:
    lines = [
        f"{s.start_bit} {s.length} {ORDERS[s.byte_order]} {KINDS[s.kind]} {data.hex()} "
        f"{value & (1 << 64) - 1:x}"
        for s, data, value in batch
    ]
    answer = subprocess.run(
        [codec], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    expected = []
    for signal, data, value in batch:
        raw = signal.extract(data)
        after = bytearray(data)
        signal.insert(after, value)
        unsigned = raw & (1 << signal.length) - 1
        signed = raw if signal.kind is Kind.SIGNED else as_int64(raw)
        expected.append(f"{unsigned} {signed} {after.hex()}")
    assert answer == expected
