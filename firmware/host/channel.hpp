// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace evhost {

// Text lines over a stream socket that is never waited for: the control loop must go on while
// the other side is slow.
class LineSocket {
 public:
  explicit LineSocket(int descriptor) : descriptor_(descriptor) {}

  int descriptor() const { return descriptor_; }
  bool wants_to_write() const { return !unsent_.empty(); }
  // More waits than the other side will ever read: news of less weight may be left out.
  bool congested() const;

  void send(std::string_view line);
  void flush();

  // Reads what is there; false at the end of the stream.
  bool receive();
  // The next whole line, without its end. `too_long` says that it was cut off and is lost.
  bool next_line(std::string& line, bool& too_long);

 private:
  int descriptor_;
  std::string unsent_;
  std::string unread_;
  bool skipping_ = false;  // inside a line that was too long
};

// The console: bytes in, lines out, on two descriptors that may be a terminal or a pipe. Lines
// that nobody reads are dropped, as a serial port drops them.
class ConsolePort {
 public:
  ConsolePort(int input, int output) : input_(input), output_(output) {}

  int input() const { return input_; }  // -1 once it has ended
  int output() const { return output_; }
  bool wants_to_write() const { return !unsent_.empty(); }

  std::string receive();
  void print(std::string_view line);
  // Writes a little; call it only when poll() says that the descriptor takes it.
  void flush();

 private:
  int input_;
  int output_;
  std::string unsent_;
};

}  // namespace evhost
