// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(EVTOOL_WITH_MICROOCPP)

#include <cstdint>
#include <string>

#include "evupdate/ports.hpp"

namespace evhost {

// HTTP/1.0 without TLS to 127.0.0.1 alone, never waiting: a program on a computer has nothing to
// fetch from the internet for a unit that is not there.
class LoopbackHttp : public evupdate::Transport {
 public:
  LoopbackHttp() = default;
  ~LoopbackHttp() override { close(); }
  LoopbackHttp(const LoopbackHttp&) = delete;
  LoopbackHttp& operator=(const LoopbackHttp&) = delete;

  bool get(const evnet::HttpUrl& url) override;
  Progress read(std::uint8_t* bytes, std::size_t capacity, std::size_t& length) override;
  bool put(const evnet::HttpUrl& url, const std::string& body) override;
  Progress finish_put() override;
  void close() override;

 private:
  bool ask(const evnet::HttpUrl& url, const std::string& request);
  Progress pump();
  bool parse_head();

  int socket_ = -1;
  std::string to_send_;
  std::string received_;  // the head, then what of the body nobody has taken yet
  bool head_done_ = false;
  bool ended_ = false;
  int status_ = 0;
  long long left_ = -1;  // bytes of the body, -1 where the server did not say
};

}  // namespace evhost

#endif
