// SPDX-License-Identifier: Apache-2.0
#include "ocpp_files.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace evhost {
namespace {

constexpr const char* kUnfinished = ".new";

// The library puts its prefix before every name; all files lie in one directory.
std::string name_of(const char* path) {
  static constexpr size_t kPrefix = sizeof(MO_FILENAME_PREFIX) - 1;
  return std::strncmp(path, MO_FILENAME_PREFIX, kPrefix) == 0 ? path + kPrefix : path;
}

class OpenFile : public MicroOcpp::FileAdapter {
 public:
  using Close = std::function<void(const std::string&)>;
  OpenFile(std::string content, Close close)
      : content_(std::move(content)), close_(std::move(close)) {}
  ~OpenFile() override {
    if (close_) {
      close_(content_);
    }
  }

  size_t read(char* out, size_t length) override {
    const size_t left = content_.size() - at_;
    const size_t count = length < left ? length : left;
    std::memcpy(out, content_.data() + at_, count);
    at_ += count;
    return count;
  }
  int read() override {
    return at_ < content_.size() ? static_cast<unsigned char>(content_[at_++]) : EOF;
  }
  size_t write(const char* bytes, size_t length) override {
    content_.replace(at_, length, bytes, length);
    at_ += length;
    return length;
  }
  // 0 for success, as fseek has it: what the library's own adapter gives.
  size_t seek(size_t offset) override {
    if (offset > content_.size()) {
      return 1;
    }
    at_ = offset;
    return 0;
  }

 private:
  std::string content_;
  Close close_;
  size_t at_ = 0;
};

bool write_through(const std::string& path, const std::string& content) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) {
    return false;
  }
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::write(file, content.data() + done, content.size() - done);
    if (count <= 0) {
      break;
    }
    done += static_cast<size_t>(count);
  }
  const bool synced = ::fsync(file) == 0;
  return ::close(file) == 0 && synced && done == content.size();
}

}  // namespace

OcppFiles::OcppFiles(const char* directory) {
  if (directory == nullptr || *directory == '\0') {
    return;
  }
  directory_ = std::string(directory) + '/';
  std::error_code failed;
  std::filesystem::create_directories(directory_, failed);
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    const std::string name = entry.path().filename().string();
    const size_t tail = std::strlen(kUnfinished);
    const bool unfinished =
        name.size() > tail && name.compare(name.size() - tail, tail, kUnfinished) == 0;
    if (unfinished || !entry.is_regular_file(failed)) {
      continue;
    }
    std::ostringstream content;
    content << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    files_[name] = content.str();
  }
  if (failed) {
    std::fprintf(stderr, "EVTOOL_STORAGE: %s: %s\n", directory, failed.message().c_str());
  }
}

int OcppFiles::stat(const char* path, size_t* size) {
  const auto found = files_.find(name_of(path));
  if (found == files_.end()) {
    return -1;
  }
  *size = found->second.size();
  return 0;
}

std::unique_ptr<MicroOcpp::FileAdapter> OcppFiles::open(const char* path, const char* mode) {
  const std::string name = name_of(path);
  if (*mode == 'w') {
    return std::make_unique<OpenFile>(
        "", [this, name](const std::string& content) { store(name, content); });
  }
  const auto found = files_.find(name);
  if (found == files_.end()) {
    return nullptr;
  }
  return std::make_unique<OpenFile>(found->second, nullptr);
}

bool OcppFiles::may_change() {
  if (changes_left_ && *changes_left_ == 0) {
    has_power_ = false;
  } else if (changes_left_) {
    --*changes_left_;
  }
  return has_power_;
}

std::string OcppFiles::content(const std::string& name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? std::string() : found->second;
}

bool OcppFiles::store(const std::string& name, const std::string& content) {
  if (!may_change()) {
    return false;
  }
  if (!directory_.empty()) {
    const std::string path = directory_ + name;
    if (!write_through(path + kUnfinished, content) ||
        std::rename((path + kUnfinished).c_str(), path.c_str()) != 0) {
      std::perror(path.c_str());
      return false;
    }
  }
  files_[name] = content;
  return true;
}

bool OcppFiles::remove(const char* path) {
  const std::string name = name_of(path);
  if (!may_change()) {
    return false;
  }
  if (!directory_.empty() && std::remove((directory_ + name).c_str()) != 0) {
    return false;
  }
  return files_.erase(name) > 0;
}

int OcppFiles::ftw_root(std::function<int(const char*)> visit) {
  std::vector<std::string> names;  // a copy, because the visitor may remove what it sees
  for (const auto& [name, content] : files_) {
    names.push_back(name);
  }
  for (const std::string& name : names) {
    const int result = visit(name.c_str());
    if (result != 0) {
      return result;
    }
  }
  return 0;
}

}  // namespace evhost

#endif
