// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this firmware is called. One source of each program defines both, so that a new build id
// compiles that one again and no other.
extern const char* const kVersion;
extern const char* const kBuildId;
