// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include <cstddef>
#include "driver/gpio.h"
#include "freertos/FreeRTOS.h"
enum spi_host_device_t { SPI1_HOST, SPI2_HOST, SPI3_HOST };
enum { SPI_DMA_DISABLED = 0 };
struct spi_bus_config_t {
  int mosi_io_num, miso_io_num, sclk_io_num, quadwp_io_num, quadhd_io_num;
};
struct spi_device_interface_config_t {
  uint8_t mode;
  int clock_speed_hz, spics_io_num, queue_size;
};
struct spi_transaction_t {
  size_t length;
  const void* tx_buffer;
  void* rx_buffer;
};
struct spi_device_t;
typedef spi_device_t* spi_device_handle_t;
esp_err_t spi_bus_initialize(spi_host_device_t host, const spi_bus_config_t* bus, int dma);
esp_err_t spi_bus_add_device(spi_host_device_t host, const spi_device_interface_config_t* config,
                             spi_device_handle_t* device);
esp_err_t spi_device_acquire_bus(spi_device_handle_t device, TickType_t ticks);
esp_err_t spi_device_polling_transmit(spi_device_handle_t device, spi_transaction_t* transaction);
