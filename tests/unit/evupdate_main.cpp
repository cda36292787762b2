// SPDX-License-Identifier: GPL-3.0-or-later
// The updater with a slot in memory and a server that is a file; one command a line, answered by
// one line of what came of it (test_evupdate.py).
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "evupdate/trial.hpp"
#include "evupdate/worker.hpp"

namespace {

using evupdate::Transport;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class MemorySlots : public evupdate::Slots {
 public:
  std::size_t capacity() const override { return room; }
  std::string running_project() const override { return "ours"; }
  bool begin() override {
    held.clear();
    ++begun;
    return true;
  }
  bool write(const std::uint8_t* bytes, std::size_t length) override {
    held.append(reinterpret_cast<const char*>(bytes), length);
    return held.size() <= breaks_at;
  }
  bool end() override { return valid; }
  bool read(std::size_t at, std::uint8_t* bytes, std::size_t length) override {
    if (at + length > held.size()) {
      return false;
    }
    std::memcpy(bytes, held.data() + at, length);
    return true;
  }
  bool activate() override { return active = true; }
  evupdate::Outcome outcome() const override { return result; }
  bool keep() override {
    kept = true;
    return true;
  }
  void give_up() override { given_up = true; }
  void told() override { was_told = true; }

  std::string held = "old";
  std::size_t room = 100000;
  std::size_t breaks_at = SIZE_MAX;
  int begun = 0;
  bool valid = true;
  bool active = false;
  bool kept = false;
  bool given_up = false;
  bool was_told = false;
  evupdate::Outcome result = evupdate::Outcome::none;
};

class FileServer : public Transport {
 public:
  bool get(const evnet::HttpUrl& url) override {
    asked = url.text();
    at_ = 0;
    return mode != "unreachable";
  }
  Progress read(std::uint8_t* bytes, std::size_t capacity, std::size_t& length) override {
    if (mode == "404") {
      return Progress::failed;
    }
    if (mode == "silent") {
      return Progress::pending;
    }
    const std::size_t end = std::min(file.size(), stops_at);
    if (at_ == end) {
      return end == file.size() ? Progress::end : Progress::failed;
    }
    length = std::min({capacity, chunk, end - at_});
    std::memcpy(bytes, file.data() + at_, length);
    at_ += length;
    return Progress::data;
  }
  bool put(const evnet::HttpUrl& url, const std::string& body) override {
    asked = url.text();
    ++puts;
    got = body;
    return mode != "unreachable";
  }
  Progress finish_put() override {
    return mode == "404" ? Progress::failed : mode == "silent" ? Progress::pending : Progress::end;
  }
  void close() override {}

  std::string file;
  std::string mode = "ok";
  std::string asked = "-";
  std::string got;
  std::size_t chunk = 1000;
  std::size_t stops_at = SIZE_MAX;
  int puts = 0;

 private:
  std::size_t at_ = 0;
};

const char* name(evupdate::State state) {
  static const char* const names[] = {"idle", "busy", "done", "failed"};
  return names[static_cast<int>(state)];
}

}  // namespace

int main() {
  MemorySlots slots;
  FileServer server;
  bool charging = false;
  bool authentic = true;
  std::string said;
  auto make = [&] {
    evupdate::Worker::Rules rules;
    rules.authentic = authentic;
    rules.charging = [&] { return charging; };
    rules.say = [&](const std::string& text) { said += (said.empty() ? "" : ",") + text; };
    return rules;
  };
  auto worker = std::make_unique<evupdate::Worker>(slots, server, make());
  std::int64_t now = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::stringstream words(line);
    std::string verb;
    std::string text;
    long long a = 0;
    long long b = 0;
    words >> verb;
    if (verb == "file") {
      words >> text;
      server.file = bytes_of(text);
    } else if (verb == "mode") {
      words >> server.mode;
    } else if (verb == "chunk") {
      words >> server.chunk;
    } else if (verb == "stops_at") {
      words >> server.stops_at;
    } else if (verb == "room") {
      words >> slots.room;
    } else if (verb == "breaks_at") {
      words >> slots.breaks_at;
    } else if (verb == "invalid") {
      slots.valid = false;
    } else if (verb == "on_trial") {
      slots.result = evupdate::Outcome::on_trial;
      worker = std::make_unique<evupdate::Worker>(slots, server, make());
    } else if (verb == "registered") {
      worker->registered();
    } else if (verb == "told") {
      worker->told_outcome();
    } else if (verb == "flip") {
      words >> a;
      slots.held[static_cast<std::size_t>(a)] ^= 1;
    } else if (verb == "charging") {
      words >> charging;
    } else if (verb == "not_authentic") {
      authentic = false;
      worker = std::make_unique<evupdate::Worker>(slots, server, make());
    } else if (verb == "download") {
      words >> text;
      worker->download(text);
    } else if (verb == "install") {
      worker->install();
    } else if (verb == "upload") {
      evupdate::Upload upload;
      words >> text >> upload.attempts >> upload.interval_ms >> upload.body;
      evnet::parse_http_url(text, upload.url);
      worker->upload(upload);
    } else if (verb == "steps") {  // how many, and how many milliseconds apart
      words >> a >> b;
      for (; a > 0; --a, now += b) {
        worker->step(now);
      }
    } else if (verb == "trial") {  // on_trial now registered charging
      long long c = 0;
      long long d = 0;
      words >> a >> b >> c >> d;
      static const char* const names[] = {"none", "keep", "give_up"};
      const auto action = evupdate::Trial(a != 0).step(b, c != 0, d != 0);
      std::cout << names[static_cast<int>(action)] << std::endl;
      continue;
    } else if (verb == "sha256") {  // of the file, in pieces of that many bytes
      words >> a;
      evupdate::Sha256 hash;
      for (std::size_t at = 0; at < server.file.size(); at += static_cast<std::size_t>(a)) {
        const auto* begin = reinterpret_cast<const std::uint8_t*>(server.file.data()) + at;
        hash.update(begin, std::min(static_cast<std::size_t>(a), server.file.size() - at));
      }
      for (const std::uint8_t byte : hash.finish()) {
        std::printf("%02x", byte);
      }
      std::printf("\n");
      std::fflush(stdout);
      continue;
    }
    std::cout << "download=" << name(worker->download_state())
              << " install=" << name(worker->install_state())
              << " upload=" << name(worker->upload_state()) << " active=" << slots.active
              << " begun=" << slots.begun << " same=" << (slots.held == server.file)
              << " kept=" << slots.kept << " given_up=" << slots.given_up
              << " told=" << slots.was_told
              << " outcome=" << static_cast<int>(worker->outcome()) << " puts=" << server.puts << " asked=" << server.asked << " got=" << server.got
              << " said=" << said << std::endl;
    said.clear();
  }
}
