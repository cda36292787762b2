// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace evocpp {

// A reservation for somebody else refuses a remote start (the library would drop it instead),
// unless the CSMS is still to be asked: it may be somebody of the same parent.
bool may_start(const char* id_tag);

// True where the connector is not reserved, or for this tag or its parent. An empty parent is none.
bool reserved_for(const char* id_tag, const std::string& parent);

}  // namespace evocpp
