// SPDX-License-Identifier: Apache-2.0
// The texts of messages, taken apart and put right.
#pragma once

#include <ArduinoJson.h>

#include <cstddef>
#include <string>

namespace evocpp {

// Of a document that holds a text of this length, and a little that is added to it.
inline size_t document_capacity(size_t length) { return length * 3 + 512; }

// The four parts of a CALL as the library writes it: [2,"id","Action",payload]
struct CallText {
  std::string id;
  std::string action;
  std::string payload;
};

bool split_call(const char* message, size_t length, CallText& out);

// Whose an Authorize, StartTransaction or StopTransaction is; empty for other calls.
std::string id_tag_of(const CallText& call);

// Takes samples out that are not a number, the adapter's word for unknown. False where nothing is
// left to send.
bool without_unknown(const std::string& action, std::string& payload);

// Every time in it becomes UTC, and all but currentTime lies in the years that the library reads:
// 1970 to 2037. False where there was no room for one.
bool times_to_utc(JsonVariant value);

}  // namespace evocpp
