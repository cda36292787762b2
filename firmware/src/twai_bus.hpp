// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "evcore/types.hpp"

// The ESP32's own CAN controller at the project's bit rate. Owned by the control task; nothing here
// waits.
class TwaiBus {
 public:
  // False where the driver could not be installed or started; recover() and poll() try again.
  bool open();

  bool receive(evcore::CanFrame& frame);
  // An urgent frame takes the place of everything that still waits.
  void send(const evcore::CanFrame& frame, bool urgent);
  // Asks the controller; call it in every turn. Starts the bus again once it has recovered.
  evcore::BusState poll();
  // What the core asks for at most once in five seconds while the bus cannot transmit.
  void recover();

 private:
  bool installed_ = false;
};
