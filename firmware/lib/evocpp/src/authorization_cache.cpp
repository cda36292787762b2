// SPDX-License-Identifier: Apache-2.0
#include "evocpp/authorization_cache.hpp"

#include <algorithm>

namespace evocpp {
namespace {

constexpr size_t kLongest = 20;  // IdToken; a status is shorter

}  // namespace

void AuthorizationCache::learn(const std::string& id_tag, const IdTagInfo& info) {
  const auto known = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.id_tag == id_tag; });
  if (known != entries_.end()) {
    entries_.erase(known);
  } else if (entries_.size() == kEntries) {
    entries_.erase(entries_.begin());
  }
  if (info.status.size() > kLongest || info.parent.size() > kLongest) {
    return;
  }
  entries_.push_back({id_tag, info});
}

const IdTagInfo* AuthorizationCache::find(const std::string& id_tag) const {
  for (const Entry& entry : entries_) {
    if (entry.id_tag == id_tag) {
      return &entry.info;
    }
  }
  return nullptr;
}

}  // namespace evocpp
