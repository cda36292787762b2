// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "ocpp_link.hpp"

namespace evhost {

// True for the lines that take_test_line() takes.
bool is_test_line(std::string_view line);

// What a bench does to the charge point and no CAN frame can say: `card <id_tag>`,
// `error <code|->` and `preset <key> <hex of the value>`, whose answer goes to `say`. Gives what is
// wrong with the line, or an empty text. `link` may be null.
std::string take_test_line(std::string_view line, OcppLink* link, const OcppLink::SendLine& say);

}  // namespace evhost
