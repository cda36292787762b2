// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "evupdate/image.hpp"
#include "evupdate/ports.hpp"
#include "evupdate/sha256.hpp"
#include "evupdate/trial.hpp"

namespace evupdate {

enum class State : std::uint8_t { idle, busy, done, failed };

struct Upload {
  evnet::HttpUrl url;
  std::string body;
  unsigned attempts = 1;
  std::int64_t interval_ms = 0;
};

// Carries out what OCPP orders: a download into the other slot, its installation, an upload; and
// ends a trial. Orders and states may be given and asked by any task; step() belongs to one, which
// may wait for the network and the flash. A new order takes the place of an unfinished one of its
// kind.
class Worker {
 public:
  struct Rules {
    bool authentic = false;  // see parse_location()
    std::function<bool()> charging =
        nullptr;  // a transaction runs, or the module is on. Must be set
    std::function<void(const std::string&)> say = nullptr;  // an event for the console. Must be set
  };

  Worker(Slots& slots, Transport& transport, Rules rules);

  void download(const std::string& location);
  void install();
  void upload(const Upload& upload);
  State download_state();
  State install_state();
  State upload_state();
  // The CSMS has accepted this start's BootNotification: a trial ends well.
  void registered();
  // How the last update ended; `none` once the CSMS was told.
  Outcome outcome();
  void told_outcome();

  // Once every few milliseconds. `now` is milliseconds since the start, and never goes back.
  void step(std::int64_t now);

 private:
  enum class Job : std::uint8_t { none, wait, fetch, put, wait_to_put };

  void step_trial(std::int64_t now);
  void take_orders(std::int64_t now);
  void begin_download(std::int64_t now);
  void fetch(std::int64_t now);
  bool take_bytes(const std::uint8_t* bytes, std::size_t length);
  bool write(const std::uint8_t* bytes, std::size_t length);
  void finish_download();
  void verify_and_activate();
  bool begin_put(std::int64_t now);
  void put(std::int64_t now);
  void put_failed(std::int64_t now);
  void fail(const char* rule);
  void set(State Worker::* state, State value);
  State get(State Worker::* state);

  Slots& slots_;
  Transport& transport_;
  Rules rules_;

  std::mutex lock_;  // for what follows, up to the blank line
  std::string ordered_;
  bool order_download_ = false;
  bool order_install_ = false;
  bool order_upload_ = false;
  Upload upload_order_;
  State download_ = State::idle;
  State install_ = State::idle;
  State upload_ = State::idle;
  bool registered_ = false;
  Outcome outcome_;
  bool order_told_ = false;

  Trial trial_;
  Job job_ = Job::none;
  Location location_;
  Header header_{};
  std::size_t head_ = 0;  // bytes of it that are there
  Sha256 hash_;
  std::size_t written_ = 0;
  std::int64_t begun_at_ = 0;
  std::int64_t heard_at_ = 0;
  Upload uploading_;
  std::int64_t put_at_ = 0;
};

}  // namespace evupdate
