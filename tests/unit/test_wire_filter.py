# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter between MicroOcpp and the wire, compiled against the library's own headers.

They are not part of this repository: EVTOOL_ESP32_LIBRARIES names a folder that holds
MicroOcpp/ and ArduinoJson/ (see test_esp32_types.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evtool.resources import firmware_dir

FOLDER = firmware_dir() / "lib" / "evocpp"
# Hands each line of stdin to the filter as if the CSMS had sent it; says what came of it.
PROGRAM = r"""
#include <iostream>
#include "evocpp/wire_filter.hpp"

class Wire : public MicroOcpp::Connection {
 public:
  void loop() override {}
  bool sendTXT(const char* message, size_t length) override {
    std::cout << "wire " << std::string(message, length) << "\n";
    return true;
  }
  void setReceiveTXTcallback(MicroOcpp::ReceiveTXTcallback& receive) override { heard = receive; }
  unsigned long getLastConnected() override { return 0; }
  MicroOcpp::ReceiveTXTcallback heard;
};

int main() {
  Wire wire;
  evocpp::WireFilter filter(wire, {});
  MicroOcpp::ReceiveTXTcallback library = [](const char* message, size_t length) {
    std::cout << "library " << std::string(message, length) << "\n";
    return true;
  };
  filter.setReceiveTXTcallback(library);
  for (std::string line; std::getline(std::cin, line);) {
    wire.heard(line.c_str(), line.size());
    std::cout << "done" << std::endl;
  }
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("EVTOOL_ESP32_LIBRARIES")
    gxx = shutil.which("g++")
    if not named or gxx is None:
        pytest.skip("MicroOcpp is not at hand: set EVTOOL_ESP32_LIBRARIES, and install g++")
    folder = tmp_path_factory.mktemp("filter")
    (folder / "main.cpp").write_text(PROGRAM)
    includes = [FOLDER / "include"]
    includes += [Path(named) / name / "src" for name in ("MicroOcpp", "ArduinoJson")]
    defines = ["-DEVTOOL_WITH_MICROOCPP=1", "-DMO_CUSTOM_WS", "-DMO_PLATFORM=MO_PLATFORM_UNIX"]
    sources = [
        folder / "main.cpp",
        *(FOLDER / "src" / f"{n}.cpp" for n in ("wire_filter", "iso_time")),
    ]
    command = [gxx, "-std=c++17", *defines, *(f"-I{each}" for each in includes)]
    subprocess.run([*command, *sources, "-o", folder / "program"], check=True, timeout=110)
    return folder / "program"


def heard(program: Path, *messages: str) -> list[list[str]]:
    """For each message of the CSMS, what the library and the wire got."""
    ended = subprocess.run(
        [program], input="\n".join(messages) + "\n", capture_output=True, text=True, check=True,
        timeout=30,
    )  # fmt: skip
    return [part.splitlines() for part in ended.stdout.split("done\n")][:-1]


def trigger(message: str, **more: object) -> str:
    payload = {"requestedMessage": message, **more}
    return json.dumps([2, "id", "TriggerMessage", payload], separators=(",", ":"))


def test_a_trigger_that_crashes_the_library_does_not_reach_it(program: Path) -> None:
    refused, passed = heard(program, trigger("StartTransaction"), trigger("Heartbeat"))
    assert refused == ['wire [3,"id",{"status":"NotImplemented"}]']
    assert passed == ["library " + trigger("Heartbeat")]


@pytest.mark.parametrize(
    "padding",
    [[1] * 2000, [[]] * 2000, {str(i): 0 for i in range(2000)}, [[[[[[[[[[[[1]]]]]]]]]]]]],
)
def test_nor_hidden_in_a_message_that_is_hard_to_parse(program: Path, padding: object) -> None:
    [outcome] = heard(program, trigger("StartTransaction", padding=padding))
    assert not [line for line in outcome if line.startswith("library")]
