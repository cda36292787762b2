// SPDX-License-Identifier: Apache-2.0
#include "loopback_http.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace evhost {
namespace {

constexpr std::size_t kLongestHead = 8192;

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN; }

}  // namespace

bool LoopbackHttp::ask(const evnet::HttpUrl& url, const std::string& request) {
  close();
  if (url.tls || (url.host != "127.0.0.1" && url.host != "localhost")) {
    return false;
  }
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(url.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ < 0 ||
      (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
       errno != EINPROGRESS)) {
    close();
    return false;
  }
  to_send_ = request;
  return true;
}

bool LoopbackHttp::get(const evnet::HttpUrl& url) {
  return ask(url, "GET " + url.path + " HTTP/1.0\r\nHost: " + url.host + "\r\n\r\n");
}

bool LoopbackHttp::put(const evnet::HttpUrl& url, const std::string& body) {
  return ask(url, "PUT " + url.path + " HTTP/1.0\r\nHost: " + url.host +
                      "\r\nContent-Type: text/plain\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body);
}

// Sends and receives what there is. `data` where something came.
evupdate::Transport::Progress LoopbackHttp::pump() {
  if (socket_ < 0) {
    return Progress::failed;
  }
  while (!to_send_.empty()) {
    const ssize_t count = ::send(socket_, to_send_.data(), to_send_.size(), MSG_NOSIGNAL);
    if (count < 0) {
      return would_wait() ? Progress::pending : Progress::failed;
    }
    to_send_.erase(0, static_cast<std::size_t>(count));
  }
  std::array<char, 4096> buffer;
  const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), 0);
  if (count < 0) {
    return would_wait() ? Progress::pending : Progress::failed;
  }
  ended_ = count == 0;
  received_.append(buffer.data(), static_cast<std::size_t>(count));
  if (!head_done_ && !parse_head()) {
    return ended_ || received_.size() > kLongestHead ? Progress::failed : Progress::pending;
  }
  return ended_ ? Progress::end : Progress::data;
}

bool LoopbackHttp::parse_head() {
  const std::size_t end = received_.find("\r\n\r\n");
  if (end == std::string::npos || received_.compare(0, 7, "HTTP/1.") != 0) {
    return false;
  }
  std::string head = received_.substr(0, end + 2);
  received_.erase(0, end + 4);
  status_ = std::atoi(head.c_str() + 9);
  for (char& c : head) {
    c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  static constexpr const char* kLength = "\r\ncontent-length:";
  const std::size_t at = head.find(kLength);
  if (at != std::string::npos) {
    left_ = std::atoll(head.c_str() + at + std::strlen(kLength));
  }
  head_done_ = true;
  return true;
}

evupdate::Transport::Progress LoopbackHttp::read(std::uint8_t* bytes, std::size_t capacity,
                                                 std::size_t& length) {
  if (received_.empty() || !head_done_) {
    if (!ended_) {
      const Progress progress = pump();
      if (progress == Progress::failed || progress == Progress::pending) {
        return progress;
      }
    }
    if (head_done_ && status_ != 200) {
      return Progress::failed;
    }
  }
  if (received_.empty()) {
    if (left_ == 0) {
      return Progress::end;
    }
    if (!ended_) {
      return Progress::pending;
    }
    return left_ < 0 ? Progress::end : Progress::failed;
  }
  length = std::min(capacity, received_.size());
  std::memcpy(bytes, received_.data(), length);
  received_.erase(0, length);
  left_ -= left_ > 0 ? static_cast<long long>(length) : 0;
  return Progress::data;
}

evupdate::Transport::Progress LoopbackHttp::finish_put() {
  const Progress progress = pump();
  if (!head_done_) {
    return progress == Progress::failed ? progress : Progress::pending;
  }
  return status_ >= 200 && status_ < 300 ? Progress::end : Progress::failed;
}

void LoopbackHttp::close() {
  if (socket_ >= 0) {
    ::close(socket_);
  }
  socket_ = -1;
  to_send_.clear();
  received_.clear();
  head_done_ = ended_ = false;
  status_ = 0;
  left_ = -1;
}

}  // namespace evhost

#endif
