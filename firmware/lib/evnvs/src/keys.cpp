// SPDX-License-Identifier: Apache-2.0
#include "evnvs/keys.hpp"

#include <algorithm>

#include "evnvs/crc.hpp"

namespace evnvs {

KeyState parse_keys(const KeyRecord& record, Keys& keys) {
  if (std::all_of(record.begin(), record.end(), [](std::uint8_t byte) { return byte == 0xFF; })) {
    return KeyState::absent;
  }
  if (crc32(kCrcStart, record, 0, kKeyBytes) != little_endian(record, kKeyBytes, 4)) {
    return KeyState::damaged;
  }
  std::copy_n(record.begin(), kKeyBytes, keys.begin());
  return KeyState::present;
}

}  // namespace evnvs
