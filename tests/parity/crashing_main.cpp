// SPDX-License-Identifier: Apache-2.0
// The lockstep mode with a memory error: after the line that stops bus 1, the
// menu key reads behind an array. For the tests of `evtool verify`.
#include <cstddef>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "lockstep.hpp"

namespace {

// Passes lines on one by one, so that the answers before the error are out.
class Tapped : public std::streambuf {
public:
  explicit Tapped(std::istream &source) : source_(source) {}

protected:
  int_type underflow() override {
    if (!std::getline(source_, line_)) {
      return traits_type::eof();
    }
    stopped_ = stopped_ || line_.find(" bus 1 stopped") != std::string::npos;
    if (line_.find(" key 3f") != std::string::npos) {
      index_ += stopped_ ? 4U : 0U;
      std::cerr << values_[index_] << std::flush;
    }
    line_ += '\n';
    setg(line_.data(), line_.data(), line_.data() + line_.size());
    return traits_type::to_int_type(line_[0]);
  }

private:
  std::istream &source_;
  std::string line_;
  bool stopped_ = false;
  std::size_t index_ = 0;
  std::unique_ptr<char[]> values_ = std::make_unique<char[]>(4);
};

} // namespace

int main() {
  Tapped tapped(std::cin);
  std::istream input(&tapped);
  return evhost::run_lockstep(input, std::cout);
}
