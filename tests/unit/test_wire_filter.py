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
PARTS = ("wire_filter", "wire_text", "call_rules", "composite_schedule", "iso_time")
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
  evocpp::WireFilter::Policy policy;
  policy.store_key = [](const char* hex) {
    std::cout << "key " << hex << "\n";
    return true;
  };
  policy.diagnostics_ordered = [](int attempts, int interval_s) {
    std::cout << "diagnostics " << attempts << " " << interval_s << "\n";
    return 99;
  };
  evocpp::WireFilter filter(wire, policy);
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
        *(FOLDER / "src" / f"{n}.cpp" for n in PARTS),
        Path(named) / "MicroOcpp" / "src" / "MicroOcpp" / "Platform.cpp",  # the clock
    ]
    command = [gxx, "-std=c++17", *defines, *(f"-I{each}" for each in includes)]
    subprocess.run([*command, *sources, "-o", folder / "program"], check=True, timeout=110)
    return folder / "program"


def heard(program: Path, *messages: str) -> list[list[str]]:
    """For each message of the CSMS, what the library and the wire got."""
    ended = subprocess.run(
        [program], input="\n".join(messages) + "\n", capture_output=True, text=True, check=True,
        timeout=60,
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


def change_key(value: str) -> str:
    payload = {"key": "AuthorizationKey", "value": value}
    return json.dumps([2, "id", "ChangeConfiguration", payload])


@pytest.mark.parametrize("key", ["0011" * 8, "aB" * 20])
def test_a_new_authorization_key_goes_to_its_owner_and_nowhere_else(
    program: Path, key: str
) -> None:
    [outcome] = heard(program, change_key(key))
    assert outcome == [f"key {key}", 'wire [3,"id",{"status":"Accepted"}]']


@pytest.mark.parametrize("key", ["", "00" * 15, "00" * 21, "0" * 33, "0g" * 16, " " + "0" * 33])
def test_what_is_no_key_is_refused(program: Path, key: str) -> None:
    [outcome] = heard(program, change_key(key))
    assert outcome == ['wire [3,"id",{"status":"Rejected"}]']


def order(action: str, **payload: object) -> str:
    return json.dumps([2, "id", action, payload], separators=(",", ":"))


@pytest.mark.parametrize(
    ("payload", "reaches"),
    [
        ({"location": "x", "retries": 0}, {"location": "x", "retries": 1}),
        ({"location": "x", "retries": 3}, {"location": "x", "retries": 3}),
        ({"location": "x", "retries": -1}, {"location": "x", "retries": -1}),
        ({"location": "x"}, {"location": "x"}),
    ],
)
def test_an_update_is_tried_at_least_once(
    program: Path, payload: dict[str, object], reaches: dict[str, object]
) -> None:
    [outcome] = heard(program, order("UpdateFirmware", **payload))
    assert outcome == ["library " + order("UpdateFirmware", **reaches)]


def test_the_library_waits_while_we_repeat_an_upload(program: Path) -> None:
    [given, default] = heard(
        program,
        order("GetDiagnostics", location="x", retries=3, retryInterval=7),
        order("GetDiagnostics", location="x"),
    )
    rewritten = order("GetDiagnostics", location="x", retries=99, retryInterval=0)
    assert given == ["diagnostics 3 7", "library " + rewritten]
    assert default == ["diagnostics 1 180", "library " + rewritten]


def test_a_profile_for_a_transaction_that_cannot_be_is_refused(program: Path) -> None:
    profile: dict[str, object] = {"chargingProfilePurpose": "TxProfile", "stackLevel": 0}
    of_none, of_one = (
        order(
            "SetChargingProfile", connectorId=1, csChargingProfiles=profile | {"transactionId": n}
        )
        for n in (-1, 1)
    )
    refused, passed = heard(program, of_none, of_one)
    assert refused == ['wire [3,"id",{"status":"Rejected"}]']
    assert passed == ["library " + of_one]


@pytest.mark.parametrize("message", ["FirmwareStatusNotification", "DiagnosticsStatusNotification"])
def test_the_states_of_files_may_be_triggered(program: Path, message: str) -> None:
    assert heard(program, trigger(message)) == [["library " + trigger(message)]]
