// SPDX-License-Identifier: GPL-3.0-or-later
// The ESP32's control task with everything around it in the hands of a program at stdin: time,
// the TWAI driver, SPI and the INT line. The argument is the number of buses.
//
// Out: `can ID SINGLE_SHOT`, `line TEXT`, `call ...`, and the questions `spi HEX`, `int`,
// `idle TICKS`. In, after `idle`: `wait`, `late` (by 40 ms), `notify` (by INT, after 1 ms),
// `hear ID DLC HEX`, `heard` (what nobody has fetched), `state N`, `report N` (the OCPP task asks
// what it may tell), `end`.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "driver/spi_master.h"
#include "driver/twai.h"
#include "esp_timer.h"
#include "freertos/queue.h"
#include "freertos/task.h"
#include "tasks.hpp"

struct Queue {
  std::size_t capacity, size;
  std::deque<std::vector<std::uint8_t>> items;
};

namespace {

Shared shared;
TickType_t ticks = 0xFFFFFFF0u;  // wraps soon
std::int64_t milliseconds = 0;
std::deque<twai_message_t> heard;
twai_state_t twai_state = TWAI_STATE_STOPPED;
void (*on_int)(void*) = nullptr;
int notified = 0;

std::string ask(const std::string& question) {
  std::cout << question << std::endl;
  std::string answer;
  if (!std::getline(std::cin, answer)) std::exit(0);
  return answer;
}

std::vector<std::uint8_t> unhex(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

void pass(TickType_t count) {
  ticks += count;
  milliseconds += count;
}

}  // namespace

bool Shared::create() {
  snapshot.create();
  word.create();
  report.create();
  may_tell.create();
  requests.create(4);
  keys.create(32);
  lines.create(64);
  stores.create(4);
  return true;
}

// FreeRTOS

TickType_t xTaskGetTickCount() { return ticks; }
TaskHandle_t xTaskGetCurrentTaskHandle() { return &shared; }
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t*) { notified += task == &shared; }

uint32_t ulTaskNotifyTake(BaseType_t, TickType_t left) {
  for (;;) {
    evcore::ConsoleLine line;
    while (shared.lines.take(line)) std::cout << "line " << line.view() << std::endl;
    std::uint64_t energy = 0;
    while (shared.stores.take(energy)) std::cout << "call store=" << energy << std::endl;
    while (shared.may_tell.take(energy)) std::cout << "call may_tell=" << energy << std::endl;
    std::istringstream words(ask("idle " + std::to_string(left)));
    std::string word;
    words >> word;
    if (word == "wait") {
      pass(left);
      return 0;
    }
    if (word == "notify") {
      pass(1);
      on_int(&shared);
      return static_cast<uint32_t>(std::exchange(notified, 0));
    }
    if (word == "late") {
      pass(left + 40);
      return 0;
    }
    if (word == "hear") {
      twai_message_t message{};
      int dlc = 0;
      std::string data;
      words >> message.identifier >> dlc >> data;
      message.extd = 1;
      message.data_length_code = static_cast<std::uint8_t>(dlc);
      const auto bytes = unhex(data);
      std::copy(bytes.begin(), bytes.end(), message.data);
      heard.push_back(message);
    }
    if (word == "heard") std::cout << "call heard=" << heard.size() << std::endl;
    if (word == "state") {
      int state = 0;
      words >> state;
      twai_state = static_cast<twai_state_t>(state);
    }
    if (word == "report") {
      int report = 0;
      words >> report;
      shared.report.put(static_cast<evcore::Report>(report));
    }
    if (word == "end") std::exit(0);
  }
}

BaseType_t xTaskCreatePinnedToCore(void (*code)(void*), const char*, uint32_t, void* argument,
                                   UBaseType_t, TaskHandle_t*, BaseType_t) {
  code(argument);
  return pdPASS;
}

QueueHandle_t xQueueCreate(UBaseType_t capacity, unsigned size) {
  return new Queue{capacity, size, {}};
}

BaseType_t xQueueSend(QueueHandle_t queue, const void* item, TickType_t) {
  if (queue->items.size() >= queue->capacity) return pdFALSE;
  const auto* bytes = static_cast<const std::uint8_t*>(item);
  queue->items.emplace_back(bytes, bytes + queue->size);
  return pdTRUE;
}

BaseType_t xQueueReceive(QueueHandle_t queue, void* item, TickType_t) {
  if (queue->items.empty()) return pdFALSE;
  std::copy(queue->items.front().begin(), queue->items.front().end(),
            static_cast<std::uint8_t*>(item));
  queue->items.pop_front();
  return pdTRUE;
}

BaseType_t xQueueOverwrite(QueueHandle_t queue, const void* item) {
  queue->items.clear();
  return xQueueSend(queue, item, 0);
}

int64_t esp_timer_get_time() { return milliseconds * 1000; }

// TWAI

esp_err_t twai_driver_install(const twai_general_config_t*, const twai_timing_config_t*,
                              const twai_filter_config_t*) { return ESP_OK; }
esp_err_t twai_start() {
  twai_state = TWAI_STATE_RUNNING;
  return ESP_OK;
}
esp_err_t twai_transmit(const twai_message_t* message, uint32_t) {
  std::cout << "can " << message->identifier << ' ' << message->ss << std::endl;
  return ESP_OK;
}
esp_err_t twai_receive(twai_message_t* message, uint32_t) {
  if (heard.empty()) return ESP_FAIL;
  *message = heard.front();
  heard.pop_front();
  return ESP_OK;
}
esp_err_t twai_get_status_info(twai_status_info_t* status) {
  *status = {};
  status->state = twai_state;
  return ESP_OK;
}
esp_err_t twai_read_alerts(uint32_t*, uint32_t) { return ESP_FAIL; }
esp_err_t twai_initiate_recovery() {
  std::cout << "call recovery" << std::endl;
  return ESP_OK;
}
esp_err_t twai_clear_transmit_queue() { return ESP_OK; }

// SPI, GPIO

esp_err_t spi_bus_initialize(spi_host_device_t host, const spi_bus_config_t* bus, int dma) {
  std::cout << "call spi host=" << host << " clock=" << bus->sclk_io_num
            << " miso=" << bus->miso_io_num << " mosi=" << bus->mosi_io_num << " dma=" << dma
            << std::endl;
  return std::getenv("SPI_FAILS") == nullptr ? ESP_OK : ESP_FAIL;
}
esp_err_t spi_bus_add_device(spi_host_device_t, const spi_device_interface_config_t* config,
                             spi_device_handle_t* device) {
  std::cout << "call device select=" << config->spics_io_num << " mode=" << int{config->mode}
            << " hz=" << config->clock_speed_hz << std::endl;
  *device = reinterpret_cast<spi_device_handle_t>(&shared);
  return ESP_OK;
}
esp_err_t spi_device_acquire_bus(spi_device_handle_t, TickType_t) { return ESP_OK; }
esp_err_t spi_device_polling_transmit(spi_device_handle_t, spi_transaction_t* transaction) {
  std::string text = "spi ";
  const auto* bytes = static_cast<const std::uint8_t*>(transaction->tx_buffer);
  for (std::size_t i = 0; i < transaction->length / 8; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", bytes[i]);
    text += two;
  }
  const auto answer = unhex(ask(text));
  std::copy(answer.begin(), answer.end(), static_cast<std::uint8_t*>(transaction->rx_buffer));
  return ESP_OK;
}
esp_err_t gpio_config(const gpio_config_t* config) {
  std::cout << "call gpio mask=" << config->pin_bit_mask << " edge=" << config->intr_type
            << std::endl;
  return ESP_OK;
}
esp_err_t gpio_set_pull_mode(gpio_num_t, gpio_pull_mode_t) { return ESP_OK; }
esp_err_t gpio_install_isr_service(int) { return ESP_OK; }
esp_err_t gpio_isr_handler_add(gpio_num_t, void (*handler)(void*), void* argument) {
  if (argument == &shared) on_int = handler;
  return ESP_OK;
}
int gpio_get_level(gpio_num_t) { return ask("int") == "1" ? 0 : 1; }

int main(int argc, char** argv) {
  evcore::Config config;
  config.buses = static_cast<std::uint8_t>(argc > 1 ? std::stoi(argv[1]) : 1);
  config.capacity_source = evcore::CapacitySource::charged_minus_discharged;
  shared.create();
  return start_control_task(shared, config, evcore::BootInfo{}) ? 0 : 1;
}
