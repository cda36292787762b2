// SPDX-License-Identifier: Apache-2.0
#include "mcp2515_port.hpp"

#include <algorithm>

#include "driver/gpio.h"
#include "esp_attr.h"
#include "evcore/can_tables.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "pins.hpp"
#include "tasks.hpp"
#include "unit_config.hpp"

namespace {

namespace mcp = evcan::mcp2515;
using evcore::can_tables::ChargeRequest;

constexpr std::uint32_t kOscillatorHz = 8'000'000;
constexpr int kClockHz = 4'000'000;  // the chip takes 10 MHz; wires to a shield are longer

constexpr mcp::Timing kTiming = mcp::timing(kOscillatorHz, kUnitCanBitrate);
static_assert(kUnitBuses < 2 || kTiming.quanta != 0,
              "the MCP2515 with its 8 MHz crystal has no timing for [can] bitrate");

void IRAM_ATTR wake(void* task) {
  BaseType_t higher = pdFALSE;
  vTaskNotifyGiveFromISR(static_cast<TaskHandle_t>(task), &higher);
  if (higher == pdTRUE) {
    portYIELD_FROM_ISR();
  }
}

}  // namespace

const mcp::Settings kBmsBusSettings{
    kTiming, mcp::exact_filters(evcore::can_tables::kReceivedFromBms, ChargeRequest::kId),
    mcp::rest_turns(kUnitCanBitrate, kControlPeriodMs)};

void Mcp2515Port::open() {
  spi_bus_config_t bus{};
  bus.mosi_io_num = pins::kSpiMosi;
  bus.miso_io_num = pins::kSpiMiso;
  bus.sclk_io_num = pins::kSpiClock;
  bus.quadwp_io_num = -1;
  bus.quadhd_io_num = -1;
  spi_device_interface_config_t chip{};
  chip.mode = 0;
  chip.clock_speed_hz = kClockHz;
  chip.spics_io_num = pins::kSpiSelect;
  chip.queue_size = 1;
  // Without DMA: the bytes go through the controller's own registers, no memory is allocated in
  // a transfer. With no other device on the bus and the bus taken once, none waits for another.
  if (spi_bus_initialize(SPI3_HOST, &bus, SPI_DMA_DISABLED) != ESP_OK ||
      spi_bus_add_device(SPI3_HOST, &chip, &device_) != ESP_OK ||
      spi_device_acquire_bus(device_, portMAX_DELAY) != ESP_OK) {
    device_ = nullptr;
    return;
  }
  // Lines that nobody drives read as 1: no frame, and no settings of ours.
  gpio_set_pull_mode(pins::kSpiMiso, GPIO_PULLUP_ONLY);
  gpio_config_t line{};
  line.pin_bit_mask = 1ULL << pins::kMcp2515Int;
  line.mode = GPIO_MODE_INPUT;
  line.pull_up_en = GPIO_PULLUP_ENABLE;
  line.intr_type = GPIO_INTR_NEGEDGE;
  gpio_config(&line);
  // Where this fails a frame waits for the next turn.
  gpio_install_isr_service(0);
  gpio_isr_handler_add(pins::kMcp2515Int, wake, xTaskGetCurrentTaskHandle());
}

void Mcp2515Port::transfer(std::uint8_t* bytes, std::size_t count) {
  spi_transaction_t transaction{};
  transaction.length = 8 * count;
  transaction.tx_buffer = bytes;
  transaction.rx_buffer = bytes;
  if (device_ == nullptr || spi_device_polling_transmit(device_, &transaction) != ESP_OK) {
    std::fill_n(bytes, count, std::uint8_t{0xFF});
  }
}

bool Mcp2515Port::interrupt() { return gpio_get_level(pins::kMcp2515Int) == 0; }
