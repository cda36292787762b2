// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(EVTOOL_WITH_MICROOCPP)

#include <MicroOcpp/Core/FilesystemAdapter.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace evhost {

// MicroOcpp's files: in memory, and in a directory where one is named. A file that is written
// replaces its older self in one step when it is closed, so that a power cut at any time leaves
// the old one or the new one.
class OcppFiles : public MicroOcpp::FilesystemAdapter {
 public:
  // `directory` may be null: then nothing outlives the program. It is made where it is missing.
  explicit OcppFiles(const char* directory);

  int stat(const char* path, size_t* size) override;
  std::unique_ptr<MicroOcpp::FileAdapter> open(const char* path, const char* mode) override;
  bool remove(const char* path) override;
  int ftw_root(std::function<int(const char*)> visit) override;

  // A file as a whole, also one that is not the library's; empty where there is none.
  std::string content(const std::string& name) const;
  bool store(const std::string& name, const std::string& content);

  // The power fails: after `changes` more of them nothing is written or removed any more.
  void lose_power_after(uint64_t changes) { changes_left_ = changes; }
  bool has_power() const { return has_power_; }

 private:
  bool may_change();

  std::string directory_;  // ends in "/", empty for none
  std::map<std::string, std::string> files_;
  std::optional<uint64_t> changes_left_;  // until the power fails; none: it does not
  bool has_power_ = true;
};

}  // namespace evhost

#endif
