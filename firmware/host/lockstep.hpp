// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>

namespace evhost {

// Answers command lines from `input` on `output` until its end, in virtual time (the lockstep mode
// of docs/host-program.md). Gives the exit code: 0, or 2 after a line that was not understood.
int run_lockstep(std::istream& input, std::ostream& output);

}  // namespace evhost
