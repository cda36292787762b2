// SPDX-License-Identifier: Apache-2.0
#include "evcan/mcp2515_frame.hpp"

#include <algorithm>
#include <iterator>

#include "evcan/mcp2515_settings.hpp"

namespace evcan::mcp2515 {
namespace {

constexpr std::uint8_t kLongest = 8;

}  // namespace

FrameBytes pack(const evcore::CanFrame& frame) {
  FrameBytes bytes{};
  if (frame.extended) {
    const IdBytes id = extended_id(frame.can_id);
    std::copy(id.begin(), id.end(), bytes.begin());
  } else {
    bytes[0] = static_cast<std::uint8_t>(frame.can_id >> 3U);
    bytes[1] = static_cast<std::uint8_t>((frame.can_id & 7U) << 5U);
  }
  bytes[4] = std::min(frame.dlc, kLongest);
  if (frame.remote) {
    bytes[4] = static_cast<std::uint8_t>(bytes[4] | kRemote);
  }
  std::copy(frame.data.begin(), frame.data.end(), std::next(bytes.begin(), kFrameHead));
  return bytes;
}

evcore::CanFrame unpack(const FrameBytes& bytes) {
  evcore::CanFrame frame;
  frame.extended = (bytes[1] & kExtended) != 0;
  const std::uint32_t standard = (std::uint32_t{bytes[0]} << 3U) | (std::uint32_t{bytes[1]} >> 5U);
  if (frame.extended) {
    frame.can_id =
        (standard << 18U) | ((bytes[1] & 3U) << 16U) | (std::uint32_t{bytes[2]} << 8U) | bytes[3];
    frame.remote = (bytes[4] & kRemote) != 0;
  } else {
    frame.can_id = standard;
    frame.remote = (bytes[1] & kStandardRemote) != 0;
  }
  frame.dlc = std::min(static_cast<std::uint8_t>(bytes[4] & kLengthMask), kLongest);
  // What lies behind the length is left over from earlier frames.
  const std::size_t length = frame.remote ? 0 : frame.dlc;
  std::copy_n(std::next(bytes.begin(), kFrameHead), length, frame.data.begin());
  return frame;
}

}  // namespace evcan::mcp2515
