// SPDX-License-Identifier: Apache-2.0
// The firmware as a program on a computer: the same core, two ways to drive it.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "board_mode.hpp"
#include "lockstep.hpp"
#include "ocpp_link.hpp"
#include "version.hpp"

namespace {

constexpr int kHardwareDescriptor = 3;

constexpr const char* kUsage =
    "usage: program --lockstep | --board | --version | --help\n"
    "\n"
    "  --lockstep  virtual time: command lines on stdin, answers on stdout (evtool verify)\n"
    "  --board     real time: console on stdin and stdout, hardware lines on file\n"
    "              descriptor 3, a stream socket (evtool sim board)\n"
    "  --version   version, build and the MicroOcpp that is compiled in (- for none)\n"
    "\n"
    "The lines are described in docs/host-program.md. Environment, with MicroOcpp:\n"
    "EVTOOL_STORAGE names the directory of its files (default: memory); EVTOOL_NONCE is\n"
    "the number that the lockstep's message ids begin with, one more at each boot;\n"
    "EVTOOL_OCPP_LOG, set to anything, sends its log to stderr.\n"
    "Exit codes: 0 done, 2 the command line or a lockstep line was not understood.\n";

}  // namespace

int main(int argc, char** argv) {
  const char* mode = argc == 2 ? argv[1] : "";
  if (std::strcmp(mode, "--lockstep") == 0) {
    std::ios::sync_with_stdio(false);
    return evhost::run_lockstep(std::cin, std::cout);
  }
  if (std::strcmp(mode, "--board") == 0) {
    std::signal(SIGPIPE, SIG_IGN);
    return evhost::run_board(kHardwareDescriptor);
  }
  if (std::strcmp(mode, "--version") == 0) {
    std::printf("%s build %s microocpp %s\n", kVersion, kBuildId, evhost::OcppLink::library());
    return 0;
  }
  if (std::strcmp(mode, "--help") == 0) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  std::fputs(kUsage, stderr);
  return 2;
}
