// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace evocpp {

// Whether a key that is true or false is true; false where there is none.
bool enabled(const char* key);

// Gives a configuration key of OCPP the value that a unit leaves the factory with, by the rules of
// ChangeConfiguration; a read-only key may be named where it has that value already. To be called
// once the ChargePoint is made, before its first turn. The status of ChangeConfiguration:
// "Accepted", "Rejected", "NotSupported" (no such key).
const char* preset_configuration(const std::string& key, const std::string& value);

// The key as it is declared, where `key` differs from it in upper and lower case alone (keys are
// CiStrings, the library compares them exactly); null where there is none or it is the same.
const char* declared_key(const char* key);

}  // namespace evocpp
