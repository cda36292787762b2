// SPDX-License-Identifier: Apache-2.0
#include "twai_bus.hpp"

#include <algorithm>

#include "acceptance_filter.hpp"
#include "driver/twai.h"
#include "evcore/can_tables.hpp"
#include "pins.hpp"
#include "unit_config.hpp"

namespace {

constexpr std::uint32_t kErrorPassive = 128;  // ISO 11898-1: an error counter from here on
constexpr std::uint32_t kTxQueue = 16;
constexpr std::uint32_t kRxQueue = 32;
// States that may come and go between two polls. What was lost the driver counts by itself.
constexpr std::uint32_t kAlerts = TWAI_ALERT_BUS_OFF | TWAI_ALERT_ERR_PASS;

constexpr acceptance::Filter kFilter = acceptance::narrowest(evcore::can_tables::kReceivedIds);
static_assert(acceptance::lets_all_through(kFilter, evcore::can_tables::kReceivedIds),
              "the acceptance filter must not lose a frame of ours");

// The driver's own timings; brp is 0 for a bit rate that it has none for.
constexpr twai_timing_config_t timing_of(std::uint32_t bitrate) {
  switch (bitrate) {
    case 25000:
      return TWAI_TIMING_CONFIG_25KBITS();
    case 50000:
      return TWAI_TIMING_CONFIG_50KBITS();
    case 100000:
      return TWAI_TIMING_CONFIG_100KBITS();
    case 125000:
      return TWAI_TIMING_CONFIG_125KBITS();
    case 250000:
      return TWAI_TIMING_CONFIG_250KBITS();
    case 500000:
      return TWAI_TIMING_CONFIG_500KBITS();
    case 800000:
      return TWAI_TIMING_CONFIG_800KBITS();
    case 1000000:
      return TWAI_TIMING_CONFIG_1MBITS();
    default:
      return {};
  }
}

constexpr twai_timing_config_t kTiming = timing_of(kUnitCanBitrate);
static_assert(kTiming.brp != 0, "the TWAI driver has no timing for [can] bitrate");

// What a count of the driver's has grown by; after a start it begins at 0 again.
std::uint32_t growth(std::uint32_t& last, std::uint32_t count) {
  const std::uint32_t more = count >= last ? count - last : count;
  last = count;
  return more;
}

evcore::BusState state_of(const twai_status_info_t& status) {
  switch (status.state) {
    case TWAI_STATE_RUNNING:
      return std::max(status.tx_error_counter, status.rx_error_counter) >= kErrorPassive
                 ? evcore::BusState::error_passive
                 : evcore::BusState::running;
    case TWAI_STATE_BUS_OFF:
      return evcore::BusState::bus_off;
    case TWAI_STATE_RECOVERING:
      return evcore::BusState::recovering;
    case TWAI_STATE_STOPPED:
      // Where a recovery ends; the start at the end of open() may have failed as well.
      return twai_start() == ESP_OK ? evcore::BusState::running : evcore::BusState::stopped;
  }
  return evcore::BusState::stopped;
}

}  // namespace

void TwaiBus::open() {
  twai_general_config_t general =
      TWAI_GENERAL_CONFIG_DEFAULT(pins::kCanTx, pins::kCanRx, TWAI_MODE_NORMAL);
  general.tx_queue_len = kTxQueue;
  general.rx_queue_len = kRxQueue;
  general.alerts_enabled = kAlerts;
  twai_filter_config_t filter{};
  filter.acceptance_code = kFilter.code();
  filter.acceptance_mask = kFilter.mask();
  filter.single_filter = false;
  if (twai_driver_install(&general, &kTiming, &filter) != ESP_OK) {
    return;
  }
  installed_ = true;
  twai_start();  // poll() tries again
}

bool TwaiBus::receive(evcore::CanFrame& frame) {
  twai_message_t message{};
  if (!installed_ || twai_receive(&message, 0) != ESP_OK) {
    return false;
  }
  frame.can_id = message.identifier;
  frame.extended = message.extd != 0;
  frame.remote = message.rtr != 0;
  frame.dlc = std::min<std::uint8_t>(message.data_length_code, TWAI_FRAME_MAX_DLC);
  std::copy(std::begin(message.data), std::end(message.data), frame.data.begin());
  return true;
}

void TwaiBus::send(const evcore::CanFrame& frame, bool urgent) {
  if (!installed_) {
    return;
  }
  twai_message_t message{};
  message.identifier = frame.can_id;
  message.extd = frame.extended ? 1 : 0;
  message.rtr = frame.remote ? 1 : 0;
  // The core repeats everything that matters. Sent again by the hardware, a frame that nobody
  // has acknowledged would go out whenever the bus comes back: an old "on" among them. The off
  // command alone may be late.
  message.ss = urgent ? 0 : 1;
  message.data_length_code = frame.dlc;
  std::copy(frame.data.begin(), frame.data.end(), std::begin(message.data));
  if (urgent) {
    twai_clear_transmit_queue();
  }
  // A full queue loses the frame, not the control loop's time.
  if (twai_transmit(&message, 0) != ESP_OK) {
    ++counts_.tx_failed;
  }
}

evcore::BusState TwaiBus::poll() {
  twai_status_info_t status{};
  std::uint32_t alerts = 0;
  if (!installed_) {
    return evcore::BusState::stopped;
  }
  twai_read_alerts(&alerts, 0);
  if (twai_get_status_info(&status) != ESP_OK) {
    return evcore::BusState::stopped;
  }
  counts_.rx_lost += growth(driver_lost_, status.rx_missed_count + status.rx_overrun_count);
  counts_.tx_failed += growth(driver_failed_, status.tx_failed_count);
  const evcore::BusState state = state_of(status);
  if ((alerts & TWAI_ALERT_BUS_OFF) != 0) {
    return evcore::BusState::bus_off;
  }
  if ((alerts & TWAI_ALERT_ERR_PASS) != 0 && state == evcore::BusState::running) {
    return evcore::BusState::error_passive;
  }
  return state;
}

void TwaiBus::recover() {
  if (!installed_) {
    open();  // what failed once may succeed later, and nobody else tries again
    return;
  }
  twai_initiate_recovery();  // refused unless the bus is off, which is as it should be
}
