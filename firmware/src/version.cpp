// SPDX-License-Identifier: Apache-2.0
#include "version.hpp"

// evtool's build passes them; a compiler that is run by hand need not.
#ifndef EVTOOL_VERSION
#define EVTOOL_VERSION "0.0.0"
#endif
#ifndef EVTOOL_BUILD_ID
#define EVTOOL_BUILD_ID "unknown"
#endif
#ifndef EVTOOL_BUILD_TIME
#define EVTOOL_BUILD_TIME 0
#endif

const char* const kVersion = EVTOOL_VERSION;
const char* const kBuildId = EVTOOL_BUILD_ID;
const std::int64_t kBuildTime = EVTOOL_BUILD_TIME;
