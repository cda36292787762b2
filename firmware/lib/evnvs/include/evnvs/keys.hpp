// SPDX-License-Identifier: Apache-2.0
// The partition nvs_keys: 32 bytes of data key, 32 of tweak key, their CRC-32.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace evnvs {

inline constexpr std::size_t kKeyBytes = 64;
using Keys = std::array<std::uint8_t, kKeyBytes>;
using KeyRecord = std::array<std::uint8_t, kKeyBytes + 4>;

enum class KeyState : std::uint8_t {
  absent,   // no such partition, or a blank one: NVS is plain
  present,  // NVS is encrypted
  damaged,  // neither: what was meant cannot be known
};

// Reads the first bytes of nvs_keys. `keys` is set where the state is `present`.
KeyState parse_keys(const KeyRecord& record, Keys& keys);

}  // namespace evnvs
