// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(EVTOOL_WITH_MICROOCPP)

#include <functional>
#include <string>

#include "evupdate/ports.hpp"

namespace evhost {

// Two firmware slots as files in a directory, and what a boot loader with rollback makes of them.
// The program that runs stays the same; what is real is which slot would. A trial that is
// interrupted by a restart has failed, as on the ESP32.
class FileSlots : public evupdate::Slots {
 public:
  // `directory` may be null: then there is no room for an update. `restart` ends the program.
  FileSlots(const char* directory, std::function<void()> restart);

  std::size_t capacity() const override;
  std::string running_project() const override { return "evcharger"; }
  bool begin() override;
  bool write(const std::uint8_t* bytes, std::size_t length) override;
  bool end() override { return true; }
  bool read(std::size_t at, std::uint8_t* bytes, std::size_t length) override;
  bool activate() override;
  evupdate::Outcome outcome() const override;
  bool keep() override;
  void give_up() override;
  void told() override;

 private:
  // Of the two slots 0 and 1. `awaited` is the one that the CSMS wants to hear of, -1 for none.
  struct Record {
    int running = 0;
    int awaited = -1;
    bool trial = false;
    bool started = false;
  };

  std::string other() const;
  bool store(const Record& record);

  std::string directory_;  // ends in "/", empty for none
  std::function<void()> restart_;
  Record record_;
};

}  // namespace evhost

#endif
