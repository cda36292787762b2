// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace evcore {

// Text of at most Capacity bytes in place, because the core uses no heap. What does not fit is
// left out: a console line cut short is better than a controller that stops.
template <std::size_t Capacity>
class FixedText {
 public:
  constexpr FixedText() = default;
  constexpr FixedText(std::string_view text) { append(text); }  // NOLINT: text is what it holds

  constexpr void clear() { size_ = 0; }

  constexpr void append(char character) {
    if (size_ < Capacity) {
      characters_[size_] = character;
      ++size_;
    }
  }

  constexpr void append(std::string_view text) {
    for (const char character : text) {
      append(character);
    }
  }

  constexpr void append_unsigned(std::uint64_t value) {
    std::array<char, 20> digits{};
    std::size_t count = 0;
    do {
      digits[count] = static_cast<char>('0' + value % 10);
      value /= 10;
      ++count;
    } while (value != 0);
    while (count > 0) {
      --count;
      append(digits[count]);
    }
  }

  constexpr void append_signed(std::int64_t value) {
    if (value < 0) {
      append('-');
      append_unsigned(~static_cast<std::uint64_t>(value) + 1);
    } else {
      append_unsigned(static_cast<std::uint64_t>(value));
    }
  }

  constexpr void append_hex_byte(std::uint8_t value) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    append(kDigits[value >> 4U]);
    append(kDigits[value & 0x0FU]);
  }

  [[nodiscard]] constexpr std::string_view view() const { return {characters_.data(), size_}; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }

 private:
  std::array<char, Capacity> characters_{};
  std::size_t size_ = 0;
};

using ConsoleLine = FixedText<192>;

}  // namespace evcore
