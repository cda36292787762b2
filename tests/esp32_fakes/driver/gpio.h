// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include <cstdint>
typedef int esp_err_t;
enum { ESP_OK = 0, ESP_FAIL = -1 };
enum gpio_num_t {
  GPIO_NUM_4 = 4,
  GPIO_NUM_5 = 5,
  GPIO_NUM_18 = 18,
  GPIO_NUM_19 = 19,
  GPIO_NUM_21 = 21,
  GPIO_NUM_22 = 22,
  GPIO_NUM_23 = 23,
};
enum gpio_mode_t { GPIO_MODE_INPUT = 1 };
enum gpio_pullup_t { GPIO_PULLUP_DISABLE, GPIO_PULLUP_ENABLE };
enum gpio_int_type_t { GPIO_INTR_DISABLE, GPIO_INTR_POSEDGE, GPIO_INTR_NEGEDGE };
enum gpio_pull_mode_t { GPIO_PULLUP_ONLY };
struct gpio_config_t {
  uint64_t pin_bit_mask;
  gpio_mode_t mode;
  gpio_pullup_t pull_up_en;
  gpio_int_type_t intr_type;
};
esp_err_t gpio_config(const gpio_config_t* config);
esp_err_t gpio_set_pull_mode(gpio_num_t pin, gpio_pull_mode_t mode);
esp_err_t gpio_install_isr_service(int flags);
esp_err_t gpio_isr_handler_add(gpio_num_t pin, void (*handler)(void*), void* argument);
int gpio_get_level(gpio_num_t pin);
