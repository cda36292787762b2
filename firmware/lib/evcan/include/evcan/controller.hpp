// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "evcore/types.hpp"

namespace evcan {

// Why a controller is stopped, where it is for a reason that a person can mend.
enum class Trouble : std::uint8_t { none, not_installed, no_answer, lost_configuration };

// Since the start; they wrap.
struct Counts {
  std::uint32_t rx_lost = 0;    // accepted frames that nobody fetched in time, at least
  std::uint32_t tx_failed = 0;  // frames of ours that did not go out
};

// A CAN controller as the control task sees it: one owner, and no function waits.
class Controller {
 public:
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  Controller(Controller&&) = delete;
  Controller& operator=(Controller&&) = delete;

  // What fails here shows in poll() and trouble(), and is tried again by recover().
  virtual void open() = 0;
  virtual bool receive(evcore::CanFrame& frame) = 0;
  // A frame is tried once. An urgent one takes the place of all that wait, and is tried until it
  // is out.
  virtual void send(const evcore::CanFrame& frame, bool urgent) = 0;
  // The worst state since the last call, so that none goes by unseen; call it in every turn.
  virtual evcore::BusState poll() = 0;
  // What the core asks for at most once in five seconds while the bus cannot transmit.
  virtual void recover() = 0;

  [[nodiscard]] virtual Trouble trouble() const = 0;
  [[nodiscard]] virtual Counts counts() const = 0;

 protected:
  Controller() = default;
  ~Controller() = default;
};

}  // namespace evcan
