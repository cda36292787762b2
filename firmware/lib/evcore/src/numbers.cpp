// SPDX-License-Identifier: Apache-2.0
#include "evcore/numbers.hpp"

#include <algorithm>

namespace evcore {
namespace {

constexpr std::int64_t kMaxField = 0xFFFF;
constexpr std::uint64_t kMilliLimit = std::uint64_t{1} << 31U;

constexpr std::uint64_t magnitude_of(std::int64_t value) {
  return value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
}

}  // namespace

std::uint16_t milli_to_deci_field(std::int64_t milli) {
  if (milli <= 0) {
    return 0;
  }
  return static_cast<std::uint16_t>(std::min((milli + 50) / 100, kMaxField));
}

std::optional<std::int64_t> float32_to_milli(std::uint32_t bits) {
  const std::uint32_t exponent = (bits >> 23U) & 0xFFU;
  std::uint64_t mantissa = bits & 0x7FFFFFU;
  if (exponent == 0xFF) {
    return std::nullopt;
  }
  // value = mantissa * 2^-right; a subnormal has no hidden bit and the exponent of 1
  if (exponent != 0) {
    mantissa |= 0x800000U;
  }
  const int right = 150 - static_cast<int>(exponent != 0 ? exponent : 1U);
  const std::uint64_t scaled = mantissa * 1000;  // below 2^34
  if (right <= 0) {
    return std::nullopt;  // 2^23 * 1000 is beyond 2^31 already
  }
  if (right > 35) {
    return 0;
  }
  const std::uint64_t half = std::uint64_t{1} << static_cast<unsigned>(right - 1);
  const std::uint64_t magnitude = (scaled + half) >> static_cast<unsigned>(right);
  if (magnitude > kMilliLimit) {
    return std::nullopt;
  }
  const auto milli = static_cast<std::int64_t>(magnitude);
  return (bits >> 31U) != 0 ? -milli : milli;
}

std::int64_t power_mw(std::int64_t millivolts, std::int64_t milliamperes) {
  const std::int64_t microwatts = millivolts * milliamperes;
  const auto magnitude = static_cast<std::int64_t>((magnitude_of(microwatts) + 500) / 1000);
  return microwatts < 0 ? -magnitude : magnitude;
}

std::optional<std::int64_t> soc_permille(std::int64_t remaining_mah, std::int32_t capacity_mah) {
  if (capacity_mah <= 0) {
    return std::nullopt;
  }
  if (remaining_mah <= 0) {
    return 0;
  }
  const std::int64_t capacity = capacity_mah;
  return std::min<std::int64_t>((remaining_mah * 2000 + capacity) / (2 * capacity), 1000);
}

void append_fixed(ConsoleLine& line, std::int64_t milli, unsigned decimals) {
  std::uint64_t step = 1000;
  std::uint64_t divisor = 1;
  for (unsigned index = 0; index < decimals; ++index) {
    step /= 10;
    divisor *= 10;
  }
  const std::uint64_t magnitude = (magnitude_of(milli) + step / 2) / step;
  if (milli < 0 && magnitude != 0) {
    line.append('-');
  }
  line.append_unsigned(magnitude / divisor);
  line.append('.');
  for (divisor /= 10; divisor > 0; divisor /= 10) {
    line.append(static_cast<char>('0' + magnitude / divisor % 10));
  }
}

}  // namespace evcore
