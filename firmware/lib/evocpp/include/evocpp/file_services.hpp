// SPDX-License-Identifier: Apache-2.0
// UpdateFirmware and GetDiagnostics: the library's services on one side, the worker that fetches
// and sends files on the other.
//
// The library asks for states in the middle of its turn, and forgets a failure that it has seen but
// not told yet; so it is given what the worker said before the turn began. Between two attempts it
// would tell the old failure again (D23) and leave the charge point out of order (D22).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "evupdate/worker.hpp"

namespace evocpp {

class FirmwareUpdate {
 public:
  explicit FirmwareUpdate(evupdate::Worker& worker) : worker_(worker) {}

  // After mocpp_initialize().
  void install();
  // Around each turn of the library.
  void before_turn();
  void after_turn(bool registered);
  // The new image is in place: whoever can restarts, when no transaction runs.
  bool restart_wanted() const { return started_ && install_ == evupdate::State::done; }

 private:
  void tell_outcome();

  evupdate::Worker& worker_;
  bool attempt_ = false;  // the library is at it, and connector 0 is Unavailable for it
  bool started_ = false;  // it has ordered a download that it still counts on
  evupdate::State download_ = evupdate::State::idle;
  evupdate::State install_ = evupdate::State::idle;
  bool telling_ = false;
};

class Diagnostics {
 public:
  // `text` makes what is uploaded, without a secret in it; `name` is the file's.
  Diagnostics(evupdate::Worker& worker, std::function<std::string()> text, std::string name)
      : worker_(worker), text_(std::move(text)), name_(std::move(name)) {}

  void install();
  void before_turn();
  // GetDiagnostics wants this. The library tries once, whatever it is told (D39), so the worker
  // repeats; the number given back is how many of its time limits the library has to wait.
  int ordered(int attempts, int interval_s);

 private:
  bool upload(const char* location);

  evupdate::Worker& worker_;
  std::function<std::string()> text_;
  std::string name_;
  unsigned attempts_ = 1;
  int interval_s_ = 0;
  bool refused_ = false;  // the location cannot be uploaded to
  int refused_turns_ = 0;
  bool started_ = false;
  evupdate::State state_ = evupdate::State::idle;
};

// Every configuration key that a CSMS may read, one a line.
std::string configuration_text();

}  // namespace evocpp
