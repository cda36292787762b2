# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP32's CAN bus on a driver that only writes down what it is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from once import Once

from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
ESP32_FAKES = Path(__file__).parent.parent / "esp32_fakes"
# Words of a script on stdin, what reaches the driver on stdout.
DRIVER = """
#include <iostream>
#include <string>

#include "driver/twai.h"
#include "twai_bus.hpp"

static esp_err_t install = ESP_OK, start = ESP_OK, transmit = ESP_OK;
static twai_status_info_t status{};
static uint32_t enabled = 0, raised = 0;

static esp_err_t say(const char* text, esp_err_t result = ESP_OK) {
  std::cout << text << "\\n";
  return result;
}
esp_err_t twai_driver_install(const twai_general_config_t* general, const twai_timing_config_t*,
                              const twai_filter_config_t*) {
  enabled = general->alerts_enabled;
  return say("install", install);
}
esp_err_t twai_start() {
  if (start == ESP_OK) {
    status = {};
    status.state = TWAI_STATE_RUNNING;
  }
  return say("start", start);
}
esp_err_t twai_transmit(const twai_message_t* message, uint32_t ticks) {
  std::cout << "transmit id=" << std::hex << message->identifier << " extd=" << message->extd
            << " ss=" << message->ss << " wait=" << ticks << "\\n" << std::dec;
  return transmit;
}
esp_err_t twai_receive(twai_message_t* message, uint32_t ticks) {
  *message = {};
  message->extd = 1;
  message->identifier = 0x1806E5F4;
  message->data_length_code = 15;
  return ticks == 0 ? ESP_OK : ESP_FAIL;
}
esp_err_t twai_get_status_info(twai_status_info_t* info) { *info = status; return ESP_OK; }
esp_err_t twai_read_alerts(uint32_t* alerts, uint32_t ticks) {
  *alerts = raised & enabled;
  raised = 0;
  return ticks == 0 && *alerts != 0 ? ESP_OK : ESP_FAIL;
}
esp_err_t twai_initiate_recovery() { return say("initiate_recovery"); }
esp_err_t twai_clear_transmit_queue() { return say("clear"); }

int main() {
  TwaiBus bus;
  evcore::CanFrame frame;
  frame.can_id = 0x68181FE;
  for (std::string word; std::cin >> word;) {
    if (word == "install_fails") install = ESP_FAIL;
    if (word == "start_fails") start = ESP_FAIL;
    if (word == "all_well") install = start = ESP_OK;
    if (word == "queue_full") transmit = ESP_FAIL;
    if (word == "open") bus.open();
    if (word == "trouble") {
      std::cout << (bus.trouble() == evcan::Trouble::none ? "none" : "not_installed") << "\\n";
    }
    if (word == "went_off") raised |= TWAI_ALERT_BUS_OFF;
    if (word == "went_passive") raised |= TWAI_ALERT_ERR_PASS;
    if (word == "lost") std::cin >> status.rx_missed_count >> status.rx_overrun_count;
    if (word == "failed") std::cin >> status.tx_failed_count;
    if (word == "counts") {
      std::cout << bus.counts().rx_lost << " " << bus.counts().tx_failed << "\\n";
    }
    if (word == "recover") bus.recover();
    if (word == "send") bus.send(frame, false);
    if (word == "urgent") bus.send(frame, true);
    if (word == "receive") {
      const bool came = bus.receive(frame);
      std::cout << (came ? static_cast<int>(frame.dlc) : -1) << "\\n";
    }
    if (word == "poll") std::cout << evcore::name(bus.poll()) << "\\n";
    if (word == "status") {
      int state = 0;
      std::cin >> state >> status.tx_error_counter >> status.rx_error_counter;
      status.state = static_cast<twai_state_t>(state);
    }
  }
}
"""
RUNNING, BUS_OFF, RECOVERING, STOPPED = "1", "2", "3", "0"


@pytest.fixture(scope="module")
def program(session_gxx: str, once: Once) -> Path:
    return once("twai", lambda folder: _build(session_gxx, folder)) / "main"


def _build(gxx: str, folder: Path) -> None:
    (folder / "main.cpp").write_text(DRIVER)
    core = FIRMWARE / "lib" / "evcore"
    sources = [folder / "main.cpp", FIRMWARE / "src" / "twai_bus.cpp", core / "src" / "names.cpp"]
    includes = [ESP32_FAKES, FIRMWARE / "src", FIRMWARE / "include", core / "include"]
    includes.append(FIRMWARE / "lib" / "evcan" / "include")
    subprocess.run(
        [gxx, "-std=c++17", *(f"-I{path}" for path in includes), *sources, "-o", folder / "main"],
        check=True,
    )


def told(program: Path, script: str) -> list[str]:
    done = subprocess.run([program], input=script, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_off_command_takes_the_place_of_what_waits(program: Path) -> None:
    """It alone is repeated by the hardware, and nothing ever waits for room in the queue."""
    assert told(program, "open send urgent")[-3:] == [
        "transmit id=68181fe extd=1 ss=1 wait=0",
        "clear",
        "transmit id=68181fe extd=1 ss=0 wait=0",
    ]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (f"{RUNNING} 127 127", "running"),
        (f"{RUNNING} 128 0", "error_passive"),
        (f"{RUNNING} 0 128", "error_passive"),
        (f"{BUS_OFF} 0 0", "bus_off"),
        (f"{RECOVERING} 0 0", "recovering"),
    ],
)
def test_states(program: Path, status: str, state: str) -> None:
    assert told(program, f"open status {status} poll")[-1] == state


def test_a_state_between_two_polls_is_told(program: Path) -> None:
    status = f"status {RUNNING} 0 0"
    assert told(program, f"open {status} went_off poll poll")[-2:] == ["bus_off", "running"]
    assert told(program, f"open {status} went_passive poll poll")[-2:] == [
        *("error_passive", "running")
    ]
    recovering = f"open status {RECOVERING} 0 0 went_passive poll"
    assert told(program, recovering)[-1] == "recovering"


def test_a_bus_that_has_recovered_is_started_though_it_was_off_meanwhile(program: Path) -> None:
    script = f"open status {STOPPED} 0 0 went_off poll poll"
    assert told(program, script)[-3:] == ["start", "bus_off", "running"]


def test_losses_are_counted_over_the_driver_s_own_starts(program: Path) -> None:
    """The driver counts from 0 again after each start."""
    script = f"open status {RUNNING} 0 0 lost 3 1 failed 7 poll poll counts"
    assert told(program, script)[-1] == "4 7"
    again = f"{script} status {STOPPED} 0 0 poll lost 0 1 failed 2 poll counts"
    assert told(program, again)[-1] == "5 9"
    assert told(program, "open queue_full send counts")[-1] == "0 1"


def test_a_stopped_bus_is_started_again(program: Path) -> None:
    assert told(program, f"open status {STOPPED} 0 0 poll")[-2:] == ["start", "running"]
    assert told(program, "start_fails open poll")[-2:] == ["start", "stopped"]


def test_recovery(program: Path) -> None:
    assert told(program, f"open status {BUS_OFF} 0 0 recover")[-1] == "initiate_recovery"


def test_a_driver_that_could_not_be_installed_is_tried_again(program: Path) -> None:
    failed = ["install", "stopped", "not_installed"]
    assert told(program, "install_fails open poll trouble send urgent") == failed
    script = "install_fails open poll trouble recover poll"
    assert told(program, script) == [*failed, "install", "stopped"]
    again = told(program, "install_fails open poll trouble all_well recover poll trouble")
    assert again == [*failed, "install", "start", "running", "none"]


def test_a_length_code_beyond_eight_is_eight(program: Path) -> None:
    assert told(program, "receive open receive") == ["-1", "install", "start", "8"]
