// SPDX-License-Identifier: Apache-2.0
// Names from Microchip's data sheet DS20001801: instructions (12), registers (11), bits.
#pragma once

#include <cstdint>

namespace evcan::mcp2515 {

// Instructions
inline constexpr std::uint8_t kReset = 0xC0;
inline constexpr std::uint8_t kRead = 0x03;
inline constexpr std::uint8_t kReadRxBuffer = 0x90;  // + 4 for the second; read, it is free
inline constexpr std::uint8_t kWrite = 0x02;
inline constexpr std::uint8_t kLoadTxBuffer = 0x40;   // + 2 for each buffer
inline constexpr std::uint8_t kRequestToSend = 0x80;  // | 1 << buffer
inline constexpr std::uint8_t kReadStatus = 0xA0;
inline constexpr std::uint8_t kBitModify = 0x05;

// Registers
inline constexpr std::uint8_t kRxf0 = 0x00;  // RXF0...2, four bytes each
inline constexpr std::uint8_t kRxf3 = 0x10;  // RXF3...5
inline constexpr std::uint8_t kCanstat = 0x0E;
inline constexpr std::uint8_t kCanctrl = 0x0F;
inline constexpr std::uint8_t kTec = 0x1C;
inline constexpr std::uint8_t kRec = 0x1D;
inline constexpr std::uint8_t kRxm0 = 0x20;  // RXM0, RXM1
inline constexpr std::uint8_t kCnf3 = 0x28;  // CNF3, CNF2, CNF1, CANINTE, CANINTF, EFLG in a row
inline constexpr std::uint8_t kCanintf = 0x2C;
inline constexpr std::uint8_t kEflg = 0x2D;
inline constexpr std::uint8_t kTxb0ctrl = 0x30;
inline constexpr std::uint8_t kTxb1ctrl = 0x40;
inline constexpr std::uint8_t kTxb2ctrl = 0x50;
inline constexpr std::uint8_t kRxb0ctrl = 0x60;
inline constexpr std::uint8_t kRxb1ctrl = 0x70;

// CANSTAT, CANCTRL
inline constexpr std::uint8_t kModeMask = 0xE0;
inline constexpr std::uint8_t kModeNormal = 0x00;
inline constexpr std::uint8_t kModeConfiguration = 0x80;
inline constexpr std::uint8_t kAbortAll = 0x10;           // ABAT
inline constexpr std::uint8_t kOneShot = 0x08;            // OSM
inline constexpr std::uint8_t kCanctrlAfterReset = 0x87;  // configuration mode, CLKOUT at 1:8

// CANINTE, CANINTF
inline constexpr std::uint8_t kRx0If = 0x01;
inline constexpr std::uint8_t kRx1If = 0x02;
inline constexpr std::uint8_t kTx0If = 0x04;  // and the two above it
inline constexpr std::uint8_t kErrIf = 0x20;
inline constexpr std::uint8_t kErrors = 0xA0;  // ERRIF, MERRF

// EFLG
inline constexpr std::uint8_t kEflgPassive = 0x18;  // TXEP, RXEP
inline constexpr std::uint8_t kEflgBusOff = 0x20;
inline constexpr std::uint8_t kEflgOverflows = 0xC0;

// RXBnCTRL
inline constexpr std::uint8_t kAnyFrame = 0x60;  // RXM: 0 for frames that meet a filter
inline constexpr std::uint8_t kRollOver = 0x04;  // BUKT: into the second buffer when this is full

// Identifier and length bytes
inline constexpr std::uint8_t kExtended = 0x08;        // EXIDE, IDE in SIDL
inline constexpr std::uint8_t kStandardRemote = 0x10;  // SRR in SIDL of a standard frame received
inline constexpr std::uint8_t kRemote = 0x40;          // RTR in DLC
inline constexpr std::uint8_t kLengthMask = 0x0F;

}  // namespace evcan::mcp2515
