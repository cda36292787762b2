// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <MicroOcpp/Core/Connection.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "channel.hpp"

// The WebSocket as two queues. A TCP connect or a TLS handshake may block the network task for
// seconds; OCPP, whose word the gate waits for, must not stand still meanwhile. The network task
// calls the members of the first group, the OCPP task is the Connection.
class CsmsSocket : public MicroOcpp::Connection {
 public:
  bool create();

  void set_open(bool open);
  // False where the OCPP task is too far behind; the message is lost, as on a broken line.
  bool received(const char* message, size_t length);
  // The next message to send, in `message`; false for none.
  bool next_to_send(std::string& message);
  // What the CSMS last said the time is, seconds since 1970; false where that was taken already.
  bool take_time(std::int64_t& unix_s) { return time_.take(unix_s); }
  std::uint32_t ping_interval_s() const { return ping_interval_s_; }

  // By the OCPP task.
  void tell_time(std::int64_t unix_s) { time_.put(unix_s); }
  void set_ping_interval(std::uint32_t seconds) { ping_interval_s_ = seconds; }

  void loop() override;
  bool sendTXT(const char* message, size_t length) override;
  void setReceiveTXTcallback(MicroOcpp::ReceiveTXTcallback& receive) override;
  unsigned long getLastConnected() override { return last_connected_; }
  bool isConnected() override { return open_; }

 private:
  // A message on its way between the tasks; whoever takes it out of a queue owns it.
  using Message = std::string*;
  static bool put(Channel<Message>& channel, const char* message, size_t length);

  Channel<Message> inbox_;
  Channel<Message> outbox_;
  Mailbox<std::int64_t> time_;
  std::atomic<std::uint32_t> ping_interval_s_{0};
  std::atomic<bool> open_{false};
  std::atomic<unsigned long> last_connected_{0};
  MicroOcpp::ReceiveTXTcallback receive_;
};

// The one socket of this unit, between the network task and the OCPP task.
CsmsSocket& csms_socket();

// The OCPP task has a new AuthorizationKey in NVS: connect again with it.
void reconnect_with_new_key();
