// SPDX-License-Identifier: Apache-2.0
#include "channel.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace evhost {
namespace {

constexpr size_t kLongestLine = 65536;  // a certificate, or an OCPP message
constexpr size_t kCongested = 65536;
constexpr size_t kConsoleBacklog = 65536;
// poll() promises a pipe room for this much (PIPE_BUF is at least 512), so a write of it does
// not block even where the descriptor cannot be made non-blocking for all its other owners.
constexpr size_t kConsoleWrite = 512;

}  // namespace

bool LineSocket::congested() const { return unsent_.size() > kCongested; }

void LineSocket::send(std::string_view line) {
  unsent_.append(line);
  unsent_ += '\n';
}

void LineSocket::flush() {
  while (!unsent_.empty()) {
    const ssize_t sent =
        ::send(descriptor_, unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      unsent_.erase(0, static_cast<size_t>(sent));
    } else if (sent < 0 && errno == EINTR) {
      continue;
    } else {
      if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        unsent_.clear();  // nobody is there; receive() finds the end of the stream
      }
      return;
    }
  }
}

bool LineSocket::receive() {
  std::array<char, 16384> chunk;
  const ssize_t count = ::recv(descriptor_, chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (count > 0) {
    unread_.append(chunk.data(), static_cast<size_t>(count));
    return true;
  }
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

bool LineSocket::next_line(std::string& line, bool& too_long) {
  const size_t end = unread_.find('\n');
  if (end == std::string::npos) {
    if (unread_.size() > kLongestLine) {
      unread_.clear();
      skipping_ = true;
    }
    return false;
  }
  too_long = skipping_ || end > kLongestLine;
  skipping_ = false;
  line.assign(unread_, 0, too_long ? 0 : end);
  unread_.erase(0, end + 1);
  return true;
}

std::string ConsolePort::receive() {
  std::array<char, 256> chunk;
  const ssize_t count = ::read(input_, chunk.data(), chunk.size());
  if (count > 0) {
    return std::string(chunk.data(), static_cast<size_t>(count));
  }
  if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    input_ = -1;  // nobody types any more; the board runs on
  }
  return {};
}

void ConsolePort::print(std::string_view line) {
  if (unsent_.size() < kConsoleBacklog) {
    unsent_.append(line);
    unsent_ += "\r\n";
  }
}

void ConsolePort::flush() {
  const size_t size = unsent_.size() < kConsoleWrite ? unsent_.size() : kConsoleWrite;
  const ssize_t written = ::write(output_, unsent_.data(), size);
  if (written > 0) {
    unsent_.erase(0, static_cast<size_t>(written));
  } else if (written < 0 && errno != EAGAIN && errno != EINTR) {
    unsent_.clear();
  }
}

}  // namespace evhost
