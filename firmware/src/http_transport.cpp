// SPDX-License-Identifier: Apache-2.0
#include "http_transport.hpp"

#include <WiFi.h>

#include <algorithm>

#include "unit_clock.hpp"
#include "verified_client.hpp"

namespace {

constexpr std::int32_t kConnectMs = 10000;
constexpr std::uint16_t kAnswerMs = 20000;

}  // namespace

bool HttpTransport::begin(const evnet::HttpUrl& url) {
  close();
  if (WiFi.status() != WL_CONNECTED) {
    return false;
  }
  if (!url.tls) {
    client_ = std::unique_ptr<WiFiClient>(new WiFiClient());
  } else if (!ca_.empty()) {
    client_ = std::unique_ptr<WiFiClient>(new VerifiedClient(ca_.c_str(), unit_clock::now()));
  } else {
    return false;
  }
  http_ = std::unique_ptr<HTTPClient>(new HTTPClient());
  http_->setReuse(false);
  http_->useHTTP10(true);  // no chunks: the body is the file
  http_->setConnectTimeout(kConnectMs);
  http_->setTimeout(kAnswerMs);
  return http_->begin(*client_, url.host.c_str(), url.port, url.path.c_str(), url.tls);
}

bool HttpTransport::get(const evnet::HttpUrl& url) {
  if (!begin(url)) {
    return false;
  }
  status_ = http_->GET();
  left_ = http_->getSize();
  return status_ > 0;
}

evupdate::Transport::Progress HttpTransport::read(std::uint8_t* bytes, std::size_t capacity,
                                                  std::size_t& length) {
  if (status_ != HTTP_CODE_OK) {
    return Progress::failed;
  }
  if (left_ == 0) {
    return Progress::end;
  }
  const int available = client_->available();
  if (available <= 0) {
    if (client_->connected()) {
      return Progress::pending;
    }
    // Without a length, the end of the connection is the end of the file; its digest will tell.
    return left_ < 0 ? Progress::end : Progress::failed;
  }
  std::size_t wanted = std::min(capacity, static_cast<std::size_t>(available));
  if (left_ > 0) {
    wanted = std::min(wanted, static_cast<std::size_t>(left_));
  }
  const int got = client_->read(bytes, wanted);
  if (got <= 0) {
    return Progress::pending;
  }
  length = static_cast<std::size_t>(got);
  left_ -= left_ > 0 ? got : 0;
  return Progress::data;
}

bool HttpTransport::put(const evnet::HttpUrl& url, const std::string& body) {
  if (!begin(url)) {
    return false;
  }
  http_->addHeader("Content-Type", "text/plain");
  std::string copy = body;  // the library wants bytes that it could change
  status_ = http_->PUT(reinterpret_cast<std::uint8_t*>(&copy[0]), copy.size());
  return true;
}

evupdate::Transport::Progress HttpTransport::finish_put() {
  return status_ >= 200 && status_ < 300 ? Progress::end : Progress::failed;
}

void HttpTransport::close() {
  if (http_) {
    http_->end();
  }
  http_.reset();
  client_.reset();
  status_ = 0;
  left_ = -1;
}
