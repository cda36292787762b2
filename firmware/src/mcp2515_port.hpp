// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "driver/spi_master.h"
#include "evcan/mcp2515.hpp"

// The MCP2515's wires: SPI3, and the INT line. Owned by the control task.
class Mcp2515Port final : public evcan::SpiPort {
 public:
  // Call it once, in the task that INT shall wake. Where it fails the chip does not answer.
  void open();

  void transfer(std::uint8_t* bytes, std::size_t count) override;
  bool interrupt() override;

 private:
  spi_device_handle_t device_ = nullptr;
};

// What the BMS's bus is made of: the project's bit rate, and the identifiers that a BMS sends.
extern const evcan::mcp2515::Settings kBmsBusSettings;
