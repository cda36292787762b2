// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "ocpp_link.hpp"

namespace evhost {

// What a bench does to the charge point and no CAN frame can say: `card <id_tag>` and
// `error <code|->`. Gives what is wrong with the line, or an empty text. `link` may be null.
std::string take_test_line(std::string_view line, OcppLink* link);

}  // namespace evhost
