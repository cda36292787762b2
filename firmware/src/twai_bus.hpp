// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "evcan/controller.hpp"

// The ESP32's own CAN controller at the project's bit rate. Owned by the control task; nothing here
// waits. poll() starts the bus again once it has recovered.
class TwaiBus final : public evcan::Controller {
 public:
  void open() override;
  bool receive(evcore::CanFrame& frame) override;
  void send(const evcore::CanFrame& frame, bool urgent) override;
  evcore::BusState poll() override;
  void recover() override;
  [[nodiscard]] evcan::Trouble trouble() const override {
    return installed_ ? evcan::Trouble::none : evcan::Trouble::not_installed;
  }
  [[nodiscard]] evcan::Counts counts() const override { return counts_; }

 private:
  bool installed_ = false;
  evcan::Counts counts_;
  std::uint32_t driver_lost_ = 0;  // the driver's own counts, which a start sets back
  std::uint32_t driver_failed_ = 0;
};
