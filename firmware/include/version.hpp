// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// What this firmware is called. One source of each program defines them, so that a new build id
// compiles that one again and no other.
extern const char* const kVersion;
extern const char* const kBuildId;
// When its source was committed, seconds since 1970: it can never be earlier than that. ESP32 only.
extern const std::int64_t kBuildTime;
