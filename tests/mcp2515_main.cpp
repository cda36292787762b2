// SPDX-License-Identifier: GPL-3.0-or-later
// The MCP2515's driver without a chip: every transfer goes to stdout and its answer comes from
// stdin, one line each. Commands in, "= answer" out.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "evcan/bus_report.hpp"
#include "evcan/mcp2515.hpp"
#include "evcan/mcp2515_frame.hpp"
#include "evcore/can_tables.hpp"

namespace {

namespace mcp = evcan::mcp2515;

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", bytes[i]);
    text += two;
  }
  return text;
}

std::vector<std::uint8_t> unhex(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string ask(const std::string& question) {
  std::cout << question << std::endl;
  std::string answer;
  std::getline(std::cin, answer);
  return answer;
}

class Wires final : public evcan::SpiPort {
 public:
  void transfer(std::uint8_t* bytes, std::size_t count) override {
    const auto answer = unhex(ask("spi " + hex(bytes, count)));
    std::copy(answer.begin(), answer.end(), bytes);
  }
  bool interrupt() override { return ask("int") == "1"; }
};

std::string text(const evcore::CanFrame& frame) {
  std::ostringstream out;
  out << frame.can_id << ' ' << frame.extended << ' ' << frame.remote << ' ' << int{frame.dlc}
      << ' ' << hex(frame.data.data(), 8);
  return out.str();
}

evcore::CanFrame read_frame(std::istream& words) {
  evcore::CanFrame frame;
  int dlc = 0;
  std::string data;
  words >> frame.can_id >> frame.extended >> frame.remote >> dlc >> data;
  frame.dlc = static_cast<std::uint8_t>(dlc);
  const auto bytes = unhex(data);
  std::copy(bytes.begin(), bytes.end(), frame.data.begin());
  return frame;
}

}  // namespace

int main() {
  Wires wires;
  std::unique_ptr<evcan::Mcp2515> driver;
  evcan::BusReport report(1);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word;
    std::string answer;
    words >> word;
    if (word == "new") {  // bit rate, first identifier, six identifiers
      std::uint32_t bitrate = 0;
      std::uint32_t first = 0;
      std::array<std::uint32_t, 6> ids{};
      words >> bitrate >> first;
      for (std::uint32_t& id : ids) words >> id;
      const mcp::Settings settings{mcp::timing(8'000'000, bitrate), mcp::exact_filters(ids, first),
                                   mcp::rest_turns(bitrate, 5)};
      driver = std::make_unique<evcan::Mcp2515>(wires, settings);
      report = evcan::BusReport(1);
    } else if (word == "timing") {
      std::uint32_t bitrate = 0;
      words >> bitrate;
      const mcp::Timing made = mcp::timing(8'000'000, bitrate);
      const std::uint8_t bytes[] = {made.cnf1, made.cnf2, made.cnf3};
      answer = made.quanta == 0 ? "-" : hex(bytes, 3);
    } else if (word == "open") {
      driver->open();
    } else if (word == "poll") {
      answer = name(driver->poll());
    } else if (word == "recover") {
      driver->recover();
    } else if (word == "receive") {
      evcore::CanFrame frame;
      answer = driver->receive(frame) ? text(frame) : "-";
    } else if (word == "send") {
      bool urgent = false;
      words >> urgent;
      driver->send(read_frame(words), urgent);
    } else if (word == "unpack") {
      mcp::FrameBytes bytes{};
      words >> word;
      const auto given = unhex(word);
      std::copy(given.begin(), given.end(), bytes.begin());
      answer = text(mcp::unpack(bytes));
    } else if (word == "report") {  // milliseconds
      evcore::Millis now = 0;
      words >> now;
      evcore::ConsoleLine said;
      const evcore::BusState state = driver->poll();
      while (report.next(*driver, state, now, said)) answer += std::string(said.view()) + "; ";
    } else if (word == "trouble") {
      answer = std::to_string(static_cast<int>(driver->trouble()));
    } else if (word == "counts") {
      const evcan::Counts counts = driver->counts();
      answer = std::to_string(counts.rx_lost) + ' ' + std::to_string(counts.tx_failed);
    }
    std::cout << "= " << answer << std::endl;
  }
}
