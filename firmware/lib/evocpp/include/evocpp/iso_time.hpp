// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace evocpp {

// An ISO 8601 time with a zone offset as the same instant in UTC, "YYYY-MM-DDTHH:MM:SSZ".
// Fractions of a second are cut off; a time without a zone is taken as UTC. Empty where `text`
// is not such a time. MicroOcpp 1.2.0 reads the first 19 characters and takes every zone as UTC.
std::string to_utc(const std::string& text);

// The same instant in seconds since 1970; -1 where `text` is not such a time, or one before 1970.
std::int64_t to_unix(const std::string& text);

}  // namespace evocpp
