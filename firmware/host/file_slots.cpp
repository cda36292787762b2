// SPDX-License-Identifier: Apache-2.0
#include "file_slots.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <ios>

namespace evhost {
namespace {

constexpr std::size_t kCapacity = 0x1c0000;  // as in partitions.csv

}  // namespace

FileSlots::FileSlots(const char* directory, std::function<void()> restart)
    : restart_(std::move(restart)) {
  if (directory == nullptr || *directory == '\0') {
    return;
  }
  directory_ = std::string(directory) + "/firmware/";
  std::error_code failed;
  std::filesystem::create_directories(directory_, failed);
  std::ifstream file(directory_ + "slots");
  Record found;
  if (file >> found.running >> found.awaited >> found.trial >> found.started) {
    record_ = found;
  }
  if (record_.trial) {
    Record now = record_;
    if (record_.started) {
      now.running = 1 - record_.running;
      now.trial = false;
    }
    now.started = true;
    store(now);
  }
}

std::size_t FileSlots::capacity() const { return directory_.empty() ? 0 : kCapacity; }

std::string FileSlots::other() const {
  return directory_ + "slot" + std::to_string(1 - record_.running) + ".bin";
}

bool FileSlots::begin() {
  return !directory_.empty() &&
         std::ofstream(other(), std::ios::binary | std::ios::trunc).is_open();
}

bool FileSlots::write(const std::uint8_t* bytes, std::size_t length) {
  std::ofstream file(other(), std::ios::binary | std::ios::app);
  file.write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(length));
  return file.good();
}

bool FileSlots::read(std::size_t at, std::uint8_t* bytes, std::size_t length) {
  std::ifstream file(other(), std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  file.read(reinterpret_cast<char*>(bytes), static_cast<std::streamsize>(length));
  return file.good();
}

bool FileSlots::activate() {
  const int next = 1 - record_.running;
  // What runs now goes on running: only the record of the next start has changed.
  const Record now = record_;
  const bool stored = store({next, next, true, false});
  record_ = now;
  return stored;
}

evupdate::Outcome FileSlots::outcome() const {
  if (record_.trial) {
    return evupdate::Outcome::on_trial;
  }
  if (record_.awaited < 0) {
    return evupdate::Outcome::none;
  }
  return record_.awaited == record_.running ? evupdate::Outcome::installed
                                            : evupdate::Outcome::rolled_back;
}

bool FileSlots::keep() { return store({record_.running, record_.awaited, false, false}); }

void FileSlots::give_up() {
  if (store({1 - record_.running, record_.awaited, false, false})) {
    restart_();
  }
}

void FileSlots::told() { store({record_.running, -1, record_.trial, record_.started}); }

bool FileSlots::store(const Record& record) {
  const std::string path = directory_ + "slots";
  {
    std::ofstream file(path + ".new", std::ios::trunc);
    file << record.running << ' ' << record.awaited << ' ' << record.trial << ' ' << record.started
         << '\n';
    if (!file.flush().good()) {
      return false;
    }
  }
  if (directory_.empty() || std::rename((path + ".new").c_str(), path.c_str()) != 0) {
    return false;
  }
  record_ = record;
  return true;
}

}  // namespace evhost

#endif
