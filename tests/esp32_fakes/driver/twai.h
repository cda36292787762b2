// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include <cstdint>
#include "driver/gpio.h"
enum { TWAI_MODE_NORMAL = 0, TWAI_FRAME_MAX_DLC = 8 };
enum : uint32_t { TWAI_ALERT_ERR_PASS = 0x1000, TWAI_ALERT_BUS_OFF = 0x2000 };
enum twai_state_t {
  TWAI_STATE_STOPPED,
  TWAI_STATE_RUNNING,
  TWAI_STATE_BUS_OFF,
  TWAI_STATE_RECOVERING,
};
struct twai_general_config_t {
  int tx, rx, mode;
  uint32_t tx_queue_len, rx_queue_len, alerts_enabled;
};
struct twai_timing_config_t {
  uint32_t brp;
};
struct twai_filter_config_t {
  uint32_t acceptance_code, acceptance_mask;
  bool single_filter;
};
struct twai_message_t {
  unsigned extd : 1, rtr : 1, ss : 1;
  uint32_t identifier;
  uint8_t data_length_code;
  uint8_t data[8];
};
struct twai_status_info_t {
  twai_state_t state;
  uint32_t tx_error_counter, rx_error_counter;
  uint32_t tx_failed_count, rx_missed_count, rx_overrun_count;
};
#define TWAI_GENERAL_CONFIG_DEFAULT(tx, rx, mode) {tx, rx, mode, 0, 0, 0}
#define TWAI_TIMING_CONFIG_25KBITS() {128}
#define TWAI_TIMING_CONFIG_50KBITS() {80}
#define TWAI_TIMING_CONFIG_100KBITS() {40}
#define TWAI_TIMING_CONFIG_125KBITS() {32}
#define TWAI_TIMING_CONFIG_250KBITS() {16}
#define TWAI_TIMING_CONFIG_500KBITS() {8}
#define TWAI_TIMING_CONFIG_800KBITS() {4}
#define TWAI_TIMING_CONFIG_1MBITS() {4}
esp_err_t twai_driver_install(const twai_general_config_t* general,
                              const twai_timing_config_t* timing,
                              const twai_filter_config_t* filter);
esp_err_t twai_start();
esp_err_t twai_transmit(const twai_message_t* message, uint32_t ticks);
esp_err_t twai_receive(twai_message_t* message, uint32_t ticks);
esp_err_t twai_get_status_info(twai_status_info_t* status);
esp_err_t twai_read_alerts(uint32_t* alerts, uint32_t ticks);
esp_err_t twai_initiate_recovery();
esp_err_t twai_clear_transmit_queue();
