// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace evocpp {

// What a CSMS has said of an id_tag (IdTagInfo). Times are UTC, "YYYY-MM-DDTHH:MM:SSZ"; empty
// where nothing was said.
struct IdTagInfo {
  std::string status;
  std::string parent;
  std::string expires;
};

// The Authorization Cache of OCPP 1.6 (3.4.1): the tags that were answered last. In memory: it is
// empty after a restart. MicroOcpp has none.
class AuthorizationCache {
 public:
  static constexpr size_t kEntries = 20;

  // Keeps the newest word of a tag, where it is not longer than OCPP's types allow (else it only
  // forgets the one before); the one that was heard of longest ago makes room.
  void learn(const std::string& id_tag, const IdTagInfo& info);
  // Null where nothing is known.
  const IdTagInfo* find(const std::string& id_tag) const;
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    std::string id_tag;
    IdTagInfo info;
  };
  std::vector<Entry> entries_;  // the newest last
};

}  // namespace evocpp
