// SPDX-License-Identifier: Apache-2.0
#include "event.hpp"

#include <cstring>

namespace proof {
namespace {

using Bytes = std::array<std::uint8_t, 8>;

void put(Bytes& data, std::size_t at, std::size_t size, std::uint32_t value) {
  for (std::size_t index = 0; index < size; ++index) {
    data[at + size - 1 - index] = static_cast<std::uint8_t>(value >> (8 * index));
  }
}

void put_float(Bytes& data, std::size_t at, std::int32_t milli) {
  const float value = static_cast<float>(milli) / 1000.0F;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  put(data, at, 4, bits);
}

void frame(evcore::Controller& controller, std::uint8_t bus, std::uint32_t can_id,
           const Bytes& data, evcore::Millis now) {
  evcore::CanFrame made;
  made.can_id = can_id;
  made.dlc = 8;
  made.data = data;
  controller.on_frame(bus, made, now);
}

void give_telemetry(evcore::Controller& controller, std::uint8_t function, std::int32_t value,
                    evcore::Millis now) {
  Bytes data{1, function};
  put(data, 4, 4, static_cast<std::uint32_t>(value));
  frame(controller, 0, 0x0681827E, data, now);
}

}  // namespace

void give(evcore::Controller& controller, const Event& event, evcore::Millis now) {
  Bytes data{};
  switch (event.kind) {
    case Kind::tick:
      controller.tick(now);
      break;
    case Kind::request:
      put(data, 0, 2, static_cast<std::uint32_t>(event.a));
      put(data, 2, 2, static_cast<std::uint32_t>(event.b));
      put(data, 4, 1, static_cast<std::uint32_t>(event.c));
      frame(controller, event.bus, 0x1806E5F4, data, now);
      break;
    case Kind::temperature:
      give_telemetry(controller, 0x80, event.a, now);
      break;
    case Kind::status:
      put(data, 6, 2, 0x0301);
      frame(controller, 0, 0x00473F01, data, now);
      break;
    case Kind::terminal:
      put_float(data, 0, event.a);
      put_float(data, 4, event.b);
      frame(controller, 0, 0x00433F01, data, now);
      break;
    case Kind::output_mv:
      give_telemetry(controller, 0x84, event.a / 1000 * 1024, now);
      break;
    case Kind::output_ma:
      give_telemetry(controller, 0x82, event.a / 1000 * 1024, now);
      break;
    case Kind::reply:
      data = {1, 0x32, 0, static_cast<std::uint8_t>(event.a)};
      frame(controller, 0, 0x0681817E, data, now);
      break;
    case Kind::word:
      controller.on_ocpp({true, event.a != 0, event.b != 0, event.c}, now);
      break;
    case Kind::bus:
      controller.on_bus(event.bus, static_cast<evcore::BusState>(event.a), now);
      break;
  }
}

}  // namespace proof
