// SPDX-License-Identifier: Apache-2.0
#include "version.hpp"

// evtool's build passes both; a compiler that is run by hand need not.
#ifndef EVTOOL_VERSION
#define EVTOOL_VERSION "0.0.0"
#endif
#ifndef EVTOOL_BUILD_ID
#define EVTOOL_BUILD_ID "unknown"
#endif

const char* const kVersion = EVTOOL_VERSION;
const char* const kBuildId = EVTOOL_BUILD_ID;
