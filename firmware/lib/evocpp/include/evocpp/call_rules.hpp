// SPDX-License-Identifier: Apache-2.0
// What OCPP 1.6 says of a call to a charge point with one connector, and MicroOcpp 1.2.0 does not
// look at.
#pragma once

#include <ArduinoJson.h>

namespace evocpp {

// Takes out what says nothing: members that are null, and a parentIdTag that is empty, which the
// library would find in every reservation without one.
void drop_empty(JsonVariant payload);

// True where a text in the payload is longer than its type in OCPP 1.6 allows (CiString), or is
// none, or is an expiryDate that cannot be read: the library looks at none of this, and crashes on
// a number for a text.
bool has_wrong_text(JsonVariantConst payload);

// The status that a call is answered with, null where the library may answer:
// RemoteStartTransaction for connector 0, or with a profile that is no TxProfile; a recurring
// profile that does not say how; TriggerMessage for a connector that is not there.
const char* refused_status(const char* action, JsonObjectConst payload);

}  // namespace evocpp
