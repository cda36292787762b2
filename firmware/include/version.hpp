// SPDX-License-Identifier: Apache-2.0
// What this firmware is called; evtool's build passes both, a compiler run by hand need not.
#pragma once

#ifndef EVTOOL_VERSION
#define EVTOOL_VERSION "0.0.0"
#endif
#ifndef EVTOOL_BUILD_ID
#define EVTOOL_BUILD_ID "unknown"
#endif

inline constexpr const char* kVersion = EVTOOL_VERSION;
inline constexpr const char* kBuildId = EVTOOL_BUILD_ID;
