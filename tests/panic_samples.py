# SPDX-License-Identifier: GPL-3.0-or-later
"""Panics in the formats that chips print them in, and programs whose addresses they may name."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = """
extern const char* const kBuildId;
const char* const kBuildId = "BUILD";

namespace ev {
struct Gate {
  __attribute__((noinline)) int open(volatile int* pack);
};
__attribute__((noinline)) int Gate::open(volatile int* pack) {
  return *pack + 1;
}
}  // namespace ev

__attribute__((noinline)) int control_task(volatile int* pack) {
  ev::Gate gate;
  return gate.open(pack) + 1;
}

int main(int count, char**) {
  volatile int pack = count;
  WAIT;
  return control_task(&pack);
}
"""
_NO_LIBRARY = ["-m32", "-nostdlib", "-static", "-Wl,-e,main", "-Wl,-Ttext=0x400d1000"]


@dataclass(frozen=True)
class Program:
    """An ELF file with line tables, and where its functions are.

    Attributes:
        crash: addresses in `ev::Gate::open` and `control_task`, innermost first.
    """

    path: Path
    sha256: str
    crash: tuple[int, int]

    def panic(self, sha256: str | None = None) -> str:
        """An ESP32's panic at `crash`; with `sha256` "" no hash is printed, None: the program's."""
        sha256 = self.sha256[:16] if sha256 is None else sha256
        return xtensa_panic(self.crash, sha256)


def build_program(
    folder: Path, build_id: str = "1a2b3c4d", *options: str, runs: bool = False
) -> Program:
    """Compile `SOURCE`: for 32 bits, to where an ESP32 has its code; or so that it runs here,
    and waits for a signal."""
    name = f"{build_id}{'_runs' if runs else ''}{''.join(options)}"
    source = folder / f"crash_{name}.cpp"
    text = SOURCE.replace("BUILD", build_id).lstrip("\n")
    if runs:
        text = text.replace("WAIT;", "pause();") + "\n"
        text = 'extern "C" int pause();' + text
    source.write_text(text.replace("  WAIT;\n", ""))
    path = folder / f"firmware_{name}.elf"
    compiler = ["g++", "-g", "-Og", "-no-pie", "-fno-pic", *([] if runs else _NO_LIBRARY)]
    argv = [*compiler, "-Wl,--build-id=none", *options, "-o", str(path), str(source)]
    subprocess.run(argv, check=True, timeout=100)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if "-s" in options:
        return Program(path, sha256, build_program(folder, build_id, runs=runs).crash)
    argv = ["nm", str(path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=100)
    rows = (line.split() for line in done.stdout.splitlines() if line[0] != " ")
    where = {row[2]: int(row[0], 16) for row in rows}
    crash = (where["_ZN2ev4Gate4openEPVi"], where["_Z12control_taskPVi"])
    return Program(path, sha256, crash)


def xtensa_panic(addresses: tuple[int, ...], sha256: str = "", core: int = 1) -> str:
    """As ESP-IDF 4.4 prints it on an ESP32."""
    frames = " ".join(f"{pc:#010x}:{0x3FFB4F80 + 32 * at:#010x}" for at, pc in enumerate(addresses))
    lines = [
        f"Guru Meditation Error: Core  {core} panic'ed (LoadProhibited). Exception was unhandled.",
        "",
        f"Core  {core} register dump:",
        f"PC      : {addresses[0]:#010x}  PS      : 0x00060830  A0      : 0x800d2c61  "
        "A1      : 0x3ffb4f80  ",
        "A2      : 0x00000000  A3      : 0x3ffb8058  A4      : 0x000000ff  A5      : 0x0000ff00  ",
        "A14     : 0x00000000  A15     : 0x00000001  SAR     : 0x0000001f  EXCCAUSE: 0x0000001c  ",
        "EXCVADDR: 0x00000000  LBEG    : 0x4000c2e0  LEND    : 0x4000c2f6  LCOUNT  : 0x00000000  ",
        "",
        "",
        f"Backtrace: {frames}",
        "",
        "",
        *([f"ELF file SHA256: {sha256}", ""] if sha256 else []),
        "Rebooting...",
    ]
    return "\r\n".join(lines) + "\r\n"


def riscv_panic(mepc: int, ra: int, sha256: str) -> str:
    """As ESP-IDF 5.1 prints it on an ESP32-C3."""
    lines = [
        "Guru Meditation Error: Core  0 panic'ed (Load access fault). Exception was unhandled.",
        "",
        "Core  0 register dump:",
        f"MEPC    : {mepc:#010x}  RA      : {ra:#010x}  SP      : 0x3fc9f370  "
        "GP      : 0x3fc8da00  ",
        "TP      : 0x3fc7dcd4  T0      : 0x40057fa6  T1      : 0x40383066  T2      : 0x00000000  ",
        "S0/FP   : 0x3fc94d58  S1      : 0x00000002  A0      : 0x00000000  A1      : 0x40382bb2  ",
        "MSTATUS : 0x00001881  MTVEC   : 0x40380001  MCAUSE  : 0x00000005  MTVAL   : 0x00000000  ",
        "MHARTID : 0x00000000  ",
        "",
        "Stack memory:",
        "3fc9f370: 0x00000004 0x3fc9f3dc 0x3fc96188 0x00000000 0x3c0cb000 0x00000001 0x00000000 "
        f"{ra:#010x}",
        "3fc9f390: 0x007a3237 0x00000010 0x3fc94ab8 0x3c0caa1c 0x00000004 0x00000019 0x00000000 "
        "0xa5a5a5a5",
        "",
        "",
        "",
        f"ELF file SHA256: {sha256}",
        "",
        "Rebooting...",
    ]
    return "\r\n".join(lines) + "\r\n"


ABORT = """abort() was called at PC 0x400d1f24 on core 0\r
\r
\r
Backtrace: 0x40083d5d:0x3ffb2150 0x4008b1e1:0x3ffb2170 0x400d1f24:0x3ffb21f0 |<-CORRUPTED\r
\r
\r
ELF file SHA256: 4d2e6c5b7\r
\r
Rebooting...\r
"""
ASSERT = """assert failed: xQueueSemaphoreTake queue.c:1545 (( pxQueue ))\r
\r
\r
Backtrace:0x40083d5d:0x3ffb2150 0x4008b1e1:0x3ffb2170\r
\r
ELF file SHA256: 0000000000000000\r
\r
Rebooting...\r
"""
STACK_OVERFLOW = """\r
***ERROR*** A stack overflow in task ocpp has been detected.\r
\r
\r
Backtrace: 0x40083d5d:0x3ffb2150 0x4008b1e1:0x3ffb2170\r
\r
Rebooting...\r
"""
CANARY = """Guru Meditation Error: Core  0 panic'ed (Unhandled debug exception). \r
Debug exception reason: Stack canary watchpoint triggered (network) \r
Core  0 register dump:\r
PC      : 0x4008b565  PS      : 0x00060f30  A0      : 0x800dc822  A1      : 0x3ffc3440  \r
\r
Backtrace: 0x4008b562:0x3ffc3440 0x400dc81f:0x3ffc3450\r
Rebooting...\r
"""
INTERRUPT_WATCHDOG = """Guru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0). \r
\r
Core  0 register dump:\r
PC      : 0x4008b565  PS      : 0x00060f30  A0      : 0x800dc822  A1      : 0x3ffc3440  \r
\r
\r
Backtrace: 0x4008b562:0x3ffc3440 0x400dc81f:0x3ffc3450\r
\r
\r
Core  1 register dump:\r
PC      : 0x400e1234  PS      : 0x00060035  A0      : 0x800dc822  A1      : 0x3ffbc3f0  \r
\r
\r
Backtrace: 0x400e1231:0x3ffbc3f0 0x400e2345:0x3ffbc410\r
\r
\r
ELF file SHA256: 4d2e6c5b7a8f9e01\r
\r
Rebooting...\r
"""
TASK_WATCHDOG = """E (10303) task_wdt: Task watchdog got triggered. \
The following tasks did not reset the watchdog in time:\r
E (10303) task_wdt:  - IDLE (CPU 0)\r
E (10303) task_wdt: Tasks currently running:\r
E (10303) task_wdt: CPU 0: control\r
E (10303) task_wdt: Print CPU 0 (current core) backtrace\r
\r
\r
Backtrace: 0x400d1f21:0x3ffb4f80 0x400d2c5e:0x3ffb4fa0\r
"""
BROWNOUT = """\r
Brownout detector was triggered\r
\r
ets Jul 29 2019 12:21:46\r
\r
rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r
"""

# As boards in the field printed them (public reports), shortened.
_ABORT_OF = """abort() was called at PC 0x400d1f24 on core 1\r
\r
Backtrace: 0x4008b8f4:0x3ffb1ec0 0x4008bb21:0x3ffb1ee0\r
\r
Rebooting...\r
"""
STACK_SMASHED = f"Stack smashing protect failure!\r\n\r\n{_ABORT_OF}"
HEAP = """CORRUPT HEAP: Bad tail at 0x3ffe04d1. Expected 0xbaad5678 got 0xcececece\r
\r
assert failed: multi_heap_free multi_heap_poisoning.c:253 (head != NULL)\r
\r
\r
Backtrace:0x40083e1d:0x3ffb25500x4008edc5:0x3ffb2570 0x40094521:0x3ffb2590\r
\r
Rebooting...\r
"""
HEAP_BEFORE_4_4 = f"""CORRUPT HEAP: Bad tail at 0x3ffe04d1. Expected 0xbaad5678 got 0xcececece\r
CORRUPT HEAP: multi_heap.c:370 detected at 0x3ffe04d8\r
{_ABORT_OF}"""
CHECK = f"""ESP_ERROR_CHECK failed: esp_err_t 0x101 (ESP_ERR_NO_MEM) at 0x400d5a3c\r
file: "main/main.c" line 42\r
func: app_main\r
expression: nvs_flash_init()\r
\r
{_ABORT_OF}"""
ASSERT_BEFORE_4_4 = f"""assertion "pxQueue" failed: file "queue.c", line 1448, function: f\r
{_ABORT_OF}"""
NOT_CAUGHT = f"""terminate called after throwing an instance of 'std::bad_alloc'\r
  what():  std::bad_alloc\r
\r
{_ABORT_OF}"""
BEFORE_3_1 = """Guru Meditation Error of type LoadProhibited occurred on core  0. \
Exception was unhandled.\r
Register dump:\r
PC      : 0x40087d7e  PS      : 0x00060b33  A0      : 0x800822d5  A1      : 0x3ffd74a0  \r
\r
Backtrace: 0x40087d7e:0x3ffd74a0 0x400822d2:0x3ffd74d0\r
\r
Rebooting...\r
"""
STACK_GUARD = """Guru Meditation Error: Core  0 panic'ed (Stack protection fault). \r
\r
Detected in task "main" at 0x420049e2\r
Stack pointer: 0x4082b080\r
Stack bounds: 0x4082b090 - 0x4082c280\r
\r
\r
Core  0 register dump:\r
MEPC    : 0x42004a84  RA      : 0x42004ade  SP      : 0x4082b080  GP      : 0x40819b44  \r
\r
Rebooting...\r
"""
