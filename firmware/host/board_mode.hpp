// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace evhost {

// The board in real time: hardware lines on the stream socket `hardware`, console on stdin and
// stdout (docs/host-program.md). Returns the exit code: 0 when the other side of `hardware` goes
// away, which is the power going off, and for a restart that OCPP asked for; 2 where `hardware`
// is no stream socket.
int run_board(int hardware);

}  // namespace evhost
