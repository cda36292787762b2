// SPDX-License-Identifier: Apache-2.0
#include "evnvs/crc.hpp"

namespace evnvs {

std::uint32_t crc32(std::uint32_t crc, const std::uint8_t* data, std::size_t length) {
  crc = ~crc;
  for (std::size_t i = 0; i < length; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    }
  }
  return ~crc;
}

}  // namespace evnvs
