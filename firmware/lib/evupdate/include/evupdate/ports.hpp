// SPDX-License-Identifier: Apache-2.0
// What an update needs of the platform: a place for the image, and bytes from the network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "evnet/http_url.hpp"

namespace evupdate {

// How the last update ended, as far as the CSMS has not heard yet.
enum class Outcome : std::uint8_t { none, on_trial, installed, rolled_back };

// The slot that does not run, and which one starts next. A power cut at any moment leaves the
// running image in charge, until activate() has returned true.
class Slots {
 public:
  virtual ~Slots() = default;
  virtual std::size_t capacity() const = 0;         // bytes
  virtual std::string running_project() const = 0;  // from the running image's descriptor
  virtual bool begin() = 0;                         // what the other slot held is gone
  virtual bool write(const std::uint8_t* bytes, std::size_t length) = 0;  // in order
  // All is written; false where the platform's own check of the image fails.
  virtual bool end() = 0;
  virtual bool read(std::size_t at, std::uint8_t* bytes, std::size_t length) = 0;
  // The next start is a trial of the other slot.
  virtual bool activate() = 0;

  virtual Outcome outcome() const = 0;
  virtual bool keep() = 0;     // the image on trial stays: installed from now on
  virtual void give_up() = 0;  // restarts with the other slot's image
  virtual void told() = 0;     // the CSMS knows the outcome
};

// One HTTP request at a time. Each call may take seconds where the platform has a task for it.
class Transport {
 public:
  enum class Progress : std::uint8_t { pending, data, end, failed };

  virtual ~Transport() = default;
  // Asks for the file. False where there is no connection.
  virtual bool get(const evnet::HttpUrl& url) = 0;
  // The next bytes of the body of a 200 answer. `end` only after the whole body.
  virtual Progress read(std::uint8_t* bytes, std::size_t capacity, std::size_t& length) = 0;
  // Sends `body` by PUT; then finish_put() says `end` where the answer is 2xx.
  virtual bool put(const evnet::HttpUrl& url, const std::string& body) = 0;
  virtual Progress finish_put() = 0;
  virtual void close() = 0;
};

}  // namespace evupdate
