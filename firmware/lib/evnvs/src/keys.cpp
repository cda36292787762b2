// SPDX-License-Identifier: Apache-2.0
#include "evnvs/keys.hpp"

#include <algorithm>

#include "evnvs/crc.hpp"

namespace evnvs {

KeyState parse_keys(const KeyRecord& record, Keys& keys) {
  if (std::all_of(record.begin(), record.end(), [](std::uint8_t byte) { return byte == 0xFF; })) {
    return KeyState::absent;
  }
  std::uint32_t stored = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    stored |= static_cast<std::uint32_t>(record[kKeyBytes + i]) << (8U * i);
  }
  if (crc32(kCrcStart, record.data(), kKeyBytes) != stored) {
    return KeyState::damaged;
  }
  std::copy_n(record.begin(), kKeyBytes, keys.begin());
  return KeyState::present;
}

}  // namespace evnvs
