// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace evocpp {

// An ISO 8601 time with a zone offset as the same instant in UTC, "YYYY-MM-DDTHH:MM:SSZ".
// Fractions of a second are cut off; a time without a zone is taken as UTC. Empty where `text`
// is not such a time. MicroOcpp 1.2.0 reads the first 19 characters and takes every zone as UTC.
std::string to_utc(const std::string& text);

}  // namespace evocpp
