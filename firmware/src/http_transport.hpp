// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <HTTPClient.h>
#include <WiFiClient.h>

#include <memory>
#include <string>

#include "evupdate/ports.hpp"

// HTTP by Arduino's client. Every call may wait for the network. Over https:// the certificate is
// checked against `ca`, the root that the unit was given; without one, https:// fails. Redirections
// are not followed: they could lead to http://.
class HttpTransport : public evupdate::Transport {
 public:
  explicit HttpTransport(const std::string& ca) : ca_(ca) {}

  bool get(const evnet::HttpUrl& url) override;
  Progress read(std::uint8_t* bytes, std::size_t capacity, std::size_t& length) override;
  bool put(const evnet::HttpUrl& url, const std::string& body) override;
  Progress finish_put() override;
  void close() override;

 private:
  bool begin(const evnet::HttpUrl& url);

  const std::string& ca_;
  std::unique_ptr<WiFiClient> client_;
  std::unique_ptr<HTTPClient> http_;
  int status_ = 0;
  int left_ = -1;  // bytes of the body, -1 where the server did not say
};
