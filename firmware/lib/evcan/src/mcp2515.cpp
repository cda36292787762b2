// SPDX-License-Identifier: Apache-2.0
#include "evcan/mcp2515.hpp"

#include <algorithm>
#include <iterator>

#include "evcan/mcp2515_frame.hpp"
#include "evcan/mcp2515_registers.hpp"

namespace evcan {

using evcore::BusState;
using namespace mcp2515;

namespace {

constexpr std::uint8_t kBuffers = 3;
constexpr std::uint8_t kRxBits = 0x03;
constexpr std::uint8_t kInterrupts = kRx0If | kRx1If;  // INT tells of frames and of nothing else
constexpr std::uint32_t kPatience = 20;                // polls before a silent chip is told of
// A counter falls by one with each good frame, so no more than this in one turn.
constexpr std::uint8_t kFarBelowWarning = 64;

constexpr std::uint8_t requested_bit(std::uint8_t buffer) {
  return static_cast<std::uint8_t>(0x04U << (2U * buffer));
}
constexpr std::uint8_t sent_bit(std::uint8_t buffer) {
  return static_cast<std::uint8_t>(0x08U << (2U * buffer));
}
constexpr std::uint8_t kAllRequested = 0x54;

constexpr std::array<std::uint8_t, kBuffers> kTxControl{kTxb0ctrl, kTxb1ctrl, kTxb2ctrl};

std::array<std::uint8_t, 12> three(const Filters& filters, std::size_t begin) {
  std::array<std::uint8_t, 12> bytes{};
  for (std::size_t i = 0; i < 3; ++i) {
    std::copy(filters[begin + i].begin(), filters[begin + i].end(),
              std::next(bytes.begin(), static_cast<std::ptrdiff_t>(4 * i)));
  }
  return bytes;
}

}  // namespace

// TEC to EFLG in one transfer.
struct Mcp2515::Health {
  std::array<std::uint8_t, 2 + kEflg - kTec + 1> bytes{kRead, kTec};

  [[nodiscard]] std::uint8_t at(std::uint8_t address) const { return bytes[2 + address - kTec]; }
  [[nodiscard]] std::uint8_t tec() const { return at(kTec); }
  [[nodiscard]] std::uint8_t rec() const { return at(kRec); }
  [[nodiscard]] std::uint8_t mode() const { return at(kRec + 1) & kModeMask; }
  [[nodiscard]] std::uint8_t control() const { return at(kRec + 2); }
  [[nodiscard]] std::uint8_t flags() const { return at(kCanintf); }
  [[nodiscard]] std::uint8_t errors() const { return at(kEflg); }
  // A line that nobody drives.
  [[nodiscard]] bool silent() const {
    return std::all_of(std::next(bytes.begin(), 2), bytes.end(),
                       [this](std::uint8_t byte) { return byte == bytes[2]; });
  }
};

void Mcp2515::open() {
  std::uint8_t reset = kReset;
  port_.transfer(&reset, 1);
  phase_ = Phase::resetting;
  turns_ = 0;
  last_tec_ = 0;
  outstanding_ = 0;
  full_ = 0;
  look_ = false;
  urgent_ = Urgent::none;
}

void Mcp2515::recover() {
  if (phase_ != Phase::running) {
    open();
  }
}

BusState Mcp2515::poll() {
  switch (phase_) {
    case Phase::closed:
    case Phase::lost:
      return BusState::stopped;
    case Phase::resetting:
      return configure();
    case Phase::resting:
    case Phase::joining:
      return join();
    case Phase::running:
      return supervise();
    case Phase::off:
      return stay_off();
  }
  return BusState::stopped;
}

bool Mcp2515::receive(evcore::CanFrame& frame) {
  if (phase_ != Phase::running) {
    return false;
  }
  if (full_ == 0) {
    if (!look_ && !port_.interrupt()) {
      return false;
    }
    look_ = false;
    full_ = read_status() & kRxBits;
    if (full_ == 0) {
      return false;
    }
  }
  // The first buffer's frame is the older one. The second is read before the chip is asked again,
  // so that a frame which has taken the first one's place meanwhile cannot overtake it.
  const bool second = (full_ & kRx0If) == 0;
  std::array<std::uint8_t, 1 + std::tuple_size_v<FrameBytes>> bytes{
      static_cast<std::uint8_t>(second ? kReadRxBuffer + 4 : kReadRxBuffer)};
  port_.transfer(bytes.data(), bytes.size());
  full_ = second ? 0 : full_ & kRx1If;
  FrameBytes received{};
  std::copy(std::next(bytes.begin(), 1), bytes.end(), received.begin());
  frame = unpack(received);
  return true;
}

void Mcp2515::send(const evcore::CanFrame& frame, bool urgent) {
  if (phase_ != Phase::running) {
    return;
  }
  if (urgent) {
    urgent_frame_ = frame;
    urgent_ = Urgent::waiting;
    abort_waiting();
    settle(read_status());
    return;
  }
  const std::uint8_t status = read_status();
  settle(status);
  if (urgent_ != Urgent::none || (control_ & kAbortAll) != 0) {
    ++counts_.tx_failed;
    return;
  }
  for (std::uint8_t buffer = 0; buffer < kBuffers; ++buffer) {
    if ((status & requested_bit(buffer)) == 0) {
      outstanding_ = static_cast<std::uint8_t>(outstanding_ | (1U << buffer));
      load(buffer, frame);
      return;
    }
  }
  // Three frames that cannot go out have grown old, and must not go out when the bus comes back.
  ++counts_.tx_failed;
  abort_waiting();
}

// Phases

BusState Mcp2515::configure() {
  std::array<std::uint8_t, 4> bytes{kRead, kCanstat};
  port_.transfer(bytes.data(), bytes.size());
  const bool reset = bytes[2] == kModeConfiguration && bytes[3] == kCanctrlAfterReset;
  if (!reset || !write_settings()) {
    if (++turns_ >= kPatience) {
      turns_ = kPatience;
      trouble_ = Trouble::no_answer;
    }
    return BusState::stopped;
  }
  phase_ = Phase::resting;
  turns_ = settings_.rest_turns;
  return BusState::recovering;
}

BusState Mcp2515::join() {
  if (phase_ == Phase::resting) {
    if (turns_ > 0) {
      --turns_;
      return BusState::recovering;
    }
    control_ = kModeNormal | kOneShot;
    write(kCanctrl, control_);
    phase_ = Phase::joining;
  }
  // Normal mode begins after eleven recessive bits.
  const Health health = read_health();
  if (!is_ours(health)) {
    return lose(health);
  }
  if (health.mode() != kModeNormal) {
    return BusState::recovering;
  }
  phase_ = Phase::running;
  trouble_ = Trouble::none;
  return supervise();
}

BusState Mcp2515::supervise() {
  const Health health = read_health();
  if (!is_ours(health) || health.mode() != kModeNormal) {
    return lose(health);
  }
  note_flags(health);
  if ((health.errors() & kEflgBusOff) != 0 || was_off(health)) {
    return leave_bus();
  }
  last_tec_ = health.tec();
  look_ = (health.flags() & kRxBits) != 0;
  if (outstanding_ != 0 || urgent_ != Urgent::none || (control_ & kAbortAll) != 0) {
    settle(read_status());
  }
  return (health.errors() & kEflgPassive) != 0 ? BusState::error_passive : BusState::running;
}

BusState Mcp2515::leave_bus() {
  // Alone it would come back after 128 times 11 bits. When to come back is the core's to say.
  control_ = kModeConfiguration | kAbortAll;
  write(kCanctrl, control_);
  phase_ = Phase::off;
  full_ = 0;
  return BusState::bus_off;
}

BusState Mcp2515::stay_off() {
  std::array<std::uint8_t, 3> bytes{kRead, kCanstat};
  port_.transfer(bytes.data(), bytes.size());
  if ((bytes[2] & kModeMask) != kModeConfiguration) {
    write(kCanctrl, control_);
  }
  return BusState::bus_off;
}

BusState Mcp2515::lose(const Health& health) {
  phase_ = Phase::lost;
  trouble_ = health.silent() ? Trouble::no_answer : Trouble::lost_configuration;
  full_ = 0;
  return BusState::stopped;
}

// Settings and health

bool Mcp2515::write_settings() {
  std::array<std::uint8_t, 8> masks{};
  std::copy(kMaskAll.begin(), kMaskAll.end(), masks.begin());
  std::copy(kMaskAll.begin(), kMaskAll.end(), std::next(masks.begin(), 4));
  bool held = write_checked(kRxf0, three(settings_.filters, 0));
  held = write_checked(kRxf3, three(settings_.filters, 3)) && held;
  held = write_checked(kRxm0, masks) && held;
  held = write_checked<4>(kCnf3, {settings_.timing.cnf3, settings_.timing.cnf2,
                                  settings_.timing.cnf1, kInterrupts}) &&
         held;
  // The other bits tell of the last frame; one is a copy of the roll-over bit.
  held = write_checked<1>(kRxb0ctrl, {kRollOver}, kRollOver | kAnyFrame) && held;
  held = write_checked<1>(kRxb1ctrl, {0}, kAnyFrame) && held;
  // Among equals the highest number goes first; so the order of sending is told by priority.
  for (std::uint8_t buffer = 0; buffer < kBuffers; ++buffer) {
    held = write_checked<1>(kTxControl[buffer], {static_cast<std::uint8_t>(3 - buffer)}) && held;
  }
  return held;
}

Mcp2515::Health Mcp2515::read_health() {
  Health health;
  port_.transfer(health.bytes.data(), health.bytes.size());
  return health;
}

bool Mcp2515::is_ours(const Health& health) const {
  const Timing& timing = settings_.timing;
  return health.control() == control_ && health.at(kCnf3) == timing.cnf3 &&
         health.at(kCnf3 + 1) == timing.cnf2 && health.at(kCnf3 + 2) == timing.cnf1 &&
         health.at(kCnf3 + 3) == kInterrupts;
}

// The chip recovers by itself, and between two polls it may be off and back again. Then both
// counters have begun anew: they are far below where the error was that ERRIF remembers.
bool Mcp2515::was_off(const Health& health) const {
  const bool low = health.tec() < kFarBelowWarning && health.rec() < kFarBelowWarning;
  const bool forgotten = (health.flags() & kErrIf) != 0 && health.errors() == 0 && low;
  return forgotten || health.tec() + kFarBelowWarning <= last_tec_;
}

void Mcp2515::note_flags(const Health& health) {
  const std::uint8_t overflows = health.errors() & kEflgOverflows;
  if (overflows != 0) {
    counts_.rx_lost += overflows == kEflgOverflows ? 2 : 1;
    clear_bits(kEflg, overflows);
  }
  // ERRIF may have come after its byte was read; left there it would look like a bus-off.
  if (overflows != 0 || (health.flags() & kErrors) != 0) {
    clear_bits(kCanintf, kErrors);
  }
}

// Sending

// Looks after what was sent: READ STATUS says which buffers still wait, and which were sent.
void Mcp2515::settle(std::uint8_t status) {
  std::uint8_t sent = 0;
  for (std::uint8_t buffer = 0; buffer < kBuffers; ++buffer) {
    const auto bit = static_cast<std::uint8_t>(1U << buffer);
    if ((outstanding_ & bit) == 0 || (status & requested_bit(buffer)) != 0) {
      continue;
    }
    outstanding_ = static_cast<std::uint8_t>(outstanding_ ^ bit);
    if ((status & sent_bit(buffer)) != 0) {
      sent = static_cast<std::uint8_t>(sent | (std::uint32_t{kTx0If} << buffer));
    } else {
      ++counts_.tx_failed;
    }
  }
  if (sent != 0) {
    clear_bits(kCanintf, sent);
  }
  if ((control_ & kAbortAll) != 0) {
    // A frame on its way may still end; until then the abort must stand.
    if ((status & kAllRequested) != 0) {
      return;
    }
    // One-shot is a setting of the whole chip: off for as long as the urgent frame is in it.
    control_ = urgent_ == Urgent::waiting ? kModeNormal : kModeNormal | kOneShot;
    write(kCanctrl, control_);
    if (urgent_ == Urgent::waiting) {
      urgent_ = Urgent::sent;
      load(0, urgent_frame_);
    }
    return;
  }
  if (urgent_ == Urgent::sent && (status & requested_bit(0)) == 0) {
    urgent_ = Urgent::none;
    clear_bits(kCanintf, kTx0If);
    control_ = kModeNormal | kOneShot;
    write(kCanctrl, control_);
  }
}

void Mcp2515::abort_waiting() {
  control_ = static_cast<std::uint8_t>(control_ | kAbortAll);
  write(kCanctrl, control_);
}

void Mcp2515::load(std::uint8_t buffer, const evcore::CanFrame& frame) {
  std::array<std::uint8_t, 1 + std::tuple_size_v<FrameBytes>> bytes{
      static_cast<std::uint8_t>(kLoadTxBuffer + 2 * buffer)};
  const FrameBytes packed = pack(frame);
  std::copy(packed.begin(), packed.end(), std::next(bytes.begin(), 1));
  port_.transfer(bytes.data(), bytes.size());
  // By instruction, not by setting TXREQ (DS80179, item 5).
  auto request = static_cast<std::uint8_t>(kRequestToSend | (1U << buffer));
  port_.transfer(&request, 1);
}

// Instructions

template <std::size_t N>
bool Mcp2515::write_checked(std::uint8_t address, const std::array<std::uint8_t, N>& values,
                            std::uint8_t readable) {
  std::array<std::uint8_t, 2 + N> bytes{kWrite, address};
  std::copy(values.begin(), values.end(), std::next(bytes.begin(), 2));
  port_.transfer(bytes.data(), bytes.size());
  bytes.fill(0);
  bytes[0] = kRead;
  bytes[1] = address;
  port_.transfer(bytes.data(), bytes.size());
  return std::equal(
      values.begin(), values.end(), std::next(bytes.begin(), 2),
      [readable](std::uint8_t wanted, std::uint8_t held) { return wanted == (held & readable); });
}

void Mcp2515::write(std::uint8_t address, std::uint8_t value) {
  std::array<std::uint8_t, 3> bytes{kWrite, address, value};
  port_.transfer(bytes.data(), bytes.size());
}

void Mcp2515::clear_bits(std::uint8_t address, std::uint8_t mask) {
  std::array<std::uint8_t, 4> bytes{kBitModify, address, mask, 0};
  port_.transfer(bytes.data(), bytes.size());
}

std::uint8_t Mcp2515::read_status() {
  std::array<std::uint8_t, 2> bytes{kReadStatus};
  port_.transfer(bytes.data(), bytes.size());
  return bytes[1];
}

}  // namespace evcan
