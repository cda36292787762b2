// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "evcan/controller.hpp"
#include "evcan/mcp2515_settings.hpp"

namespace evcan {

// The wires to the chip.
class SpiPort {
 public:
  SpiPort(const SpiPort&) = delete;
  SpiPort& operator=(const SpiPort&) = delete;
  SpiPort(SpiPort&&) = delete;
  SpiPort& operator=(SpiPort&&) = delete;

  // Sends the bytes in SPI mode 0,0 with CS low for exactly these, and puts the answer in their
  // place. Where that is impossible the answer is 0xFF. Mode 1,1 would send frames twice
  // (DS80179, item 5).
  virtual void transfer(std::uint8_t* bytes, std::size_t count) = 0;
  // The INT line is low: a receive buffer is full.
  virtual bool interrupt() = 0;

 protected:
  SpiPort() = default;
  ~SpiPort() = default;
};

// Microchip's MCP2515, by its data sheet DS20001801. No wait, no heap, no clock: what takes its
// time (reset, joining the bus, an abort) is looked at again by the next poll().
//
// It is asked for its settings in every poll(). A chip that has lost them, that does not answer
// or does not come out of reset is `stopped`; one whose bus was off leaves the bus and is
// `bus_off`. Both last until recover(), which begins with a reset.
class Mcp2515 final : public Controller {
 public:
  // `port` must outlive this.
  Mcp2515(SpiPort& port, const mcp2515::Settings& settings) : port_(port), settings_(settings) {}

  void open() override;
  bool receive(evcore::CanFrame& frame) override;
  void send(const evcore::CanFrame& frame, bool urgent) override;
  evcore::BusState poll() override;
  void recover() override;
  [[nodiscard]] Trouble trouble() const override { return trouble_; }
  [[nodiscard]] Counts counts() const override { return counts_; }

 private:
  // lost and off: stopped and bus_off, until recover().
  enum class Phase : std::uint8_t { closed, resetting, resting, joining, running, off, lost };
  enum class Urgent : std::uint8_t { none, waiting, sent };
  struct Health;

  evcore::BusState configure();
  evcore::BusState join();
  evcore::BusState supervise();
  evcore::BusState stay_off();
  evcore::BusState leave_bus();
  evcore::BusState lose(const Health& health);
  bool write_settings();
  Health read_health();
  [[nodiscard]] bool is_ours(const Health& health) const;
  [[nodiscard]] bool was_off(const Health& health) const;
  void note_flags(const Health& health);
  void settle(std::uint8_t status);
  void abort_waiting();
  void load(std::uint8_t buffer, const evcore::CanFrame& frame);

  template <std::size_t N>
  bool write_checked(std::uint8_t address, const std::array<std::uint8_t, N>& values,
                     std::uint8_t readable = 0xFF);
  void write(std::uint8_t address, std::uint8_t value);
  void clear_bits(std::uint8_t address, std::uint8_t mask);
  std::uint8_t read_status();

  SpiPort& port_;
  mcp2515::Settings settings_;
  Phase phase_ = Phase::closed;
  Trouble trouble_ = Trouble::none;
  Counts counts_;
  std::uint32_t turns_ = 0;   // without an answer, or still to rest
  std::uint8_t control_ = 0;  // what CANCTRL must read as
  std::uint8_t last_tec_ = 0;
  std::uint8_t outstanding_ = 0;  // transmit buffers that were given a frame: 1 << buffer
  std::uint8_t full_ = 0;         // receive buffers known to be full
  bool look_ = false;             // poll() has seen a frame, whatever INT says
  Urgent urgent_ = Urgent::none;
  evcore::CanFrame urgent_frame_;
};

}  // namespace evcan
