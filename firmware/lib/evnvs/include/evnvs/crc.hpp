// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace evnvs {

inline constexpr std::uint32_t kCrcStart = 0xFFFFFFFF;

// CRC-32 as NVS has it: begin with kCrcStart, go on with what the call before gave.
std::uint32_t crc32(std::uint32_t crc, const std::uint8_t* data, std::size_t length);

}  // namespace evnvs
