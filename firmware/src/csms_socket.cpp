// SPDX-License-Identifier: Apache-2.0
#include "csms_socket.hpp"

#include <Arduino.h>

#include <memory>

namespace {

constexpr UBaseType_t kMessages = 8;
constexpr size_t kLongestMessage = 16384;  // what a CSMS may cost us of the heap

}  // namespace

CsmsSocket& csms_socket() {
  static CsmsSocket socket;
  return socket;
}

bool CsmsSocket::create() {
  inbox_.create(kMessages);
  outbox_.create(kMessages);
  time_.create();
  return inbox_.created() && outbox_.created() && time_.created();
}

void CsmsSocket::set_open(bool open) {
  if (open && !open_) {
    last_connected_ = millis();
  }
  open_ = open;
}

bool CsmsSocket::put(Channel<Message>& channel, const char* message, size_t length) {
  auto copy = std::unique_ptr<std::string>(new std::string(message, length));
  if (!channel.put(copy.get())) {
    return false;
  }
  copy.release();
  return true;
}

bool CsmsSocket::received(const char* message, size_t length) {
  return length <= kLongestMessage && put(inbox_, message, length);
}

bool CsmsSocket::next_to_send(std::string& message) {
  Message taken = nullptr;
  if (!outbox_.take(taken)) {
    return false;
  }
  message = std::move(*taken);
  delete taken;
  return true;
}

void CsmsSocket::loop() {
  Message taken = nullptr;
  while (inbox_.take(taken)) {
    const std::unique_ptr<std::string> message(taken);
    if (receive_) {
      receive_(message->c_str(), message->size());
    }
  }
}

bool CsmsSocket::sendTXT(const char* message, size_t length) {
  return open_ && put(outbox_, message, length);
}

void CsmsSocket::setReceiveTXTcallback(MicroOcpp::ReceiveTXTcallback& receive) {
  receive_ = receive;
}
