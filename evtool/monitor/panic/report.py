# SPDX-License-Identifier: GPL-3.0-or-later
"""From the lines of a panic to one report: what happened, where, and by which program.

::

    Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.
    Core  0 register dump:
    PC      : 0x400d1f24  PS      : 0x00060830  A0      : 0x800d2c61  A1      : 0x3ffb4f80
    Backtrace: 0x400d1f21:0x3ffb4f80 0x400d2c5e:0x3ffb4fa0 |<-CORRUPTED
    ELF file SHA256: 4d2e6c5b7a8f9e01
    Rebooting...

abort(), assert, stack overflow, watchdogs and brown-outs begin in other words; a RISC-V prints
MEPC, RA and the stack's memory instead of a backtrace. Formats: ESP-IDF 3.3 to 5.5,
components/esp_system (panic.c, port/arch).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from evtool.monitor.follow import Line

MAX_LINES = 600
IDLE_MS = 2000
_MOST_CORES = 2

_HEADLINES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "exception",
        re.compile(
            r"Guru Meditation Error(?:: Core\s*(?P<core>\d?)\s*panic'ed \((?P<why>.+?)\)"
            r"| of type (?P<old_why>.+?) occurred on core\s+(?P<old_core>\d))"
        ),
    ),
    (
        "abort",
        re.compile(r"^abort\(\) was called at PC (?P<pc>0x[0-9a-fA-F]{8}) on core (?P<core>\d)"),
    ),
    ("assert", re.compile(r"^assert failed: (?P<why>.+)")),
    ("stack_overflow", re.compile(r"A stack overflow in task (?P<why>.+?) has been detected")),
    ("task_watchdog", re.compile(r"Task watchdog got triggered")),
    ("brownout", re.compile(r"Brownout detector was triggered")),
    ("sanitizer", re.compile(r"ERROR: (?P<why>\w+Sanitizer.*)|runtime error: (?P<ub>.+)")),
)
# What is said before the abort or the failed assertion that it ends in, and tells more than that.
# Alone it is no breakdown: a heap may be looked through, and the program go on.
_CAUSES_BEFORE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("check", re.compile(r"^ESP_ERROR_CHECK failed: (?P<why>.+)")),
    ("stack_smashed", re.compile(r"Stack smashing protect failure!")),
    ("heap", re.compile(r"CORRUPT HEAP: (?P<why>.+)")),
    ("assert", re.compile(r'^(?P<why>assertion ".*" failed: .+|.+- assert failed!)')),
    ("exception_not_caught", re.compile(r"^terminate called after throwing .*'(?P<why>.+)'")),
)
_ENDS_OF_CAUSES = ("abort", "assert")
# What is said behind the headline, of the task whose stack was too small.
_OVERFLOWED = re.compile(
    r'Stack canary watchpoint triggered \((?P<canary>.+?)\s*\)|^Detected in task "(?P<guard>.+)" at'
)
_BACKTRACE = re.compile(r"^Backtrace:\s?(.*)")
_FRAME = re.compile(r"(0x[0-9a-fA-F]{8}):(0x[0-9a-fA-F]{8})")
_DUMP = re.compile(r"^Core\s+(\d) register dump:")
_REGISTER = re.compile(r"([A-Z][A-Z0-9/]{1,8})\s*: (0x[0-9a-fA-F]{8})")
_STACK = re.compile(r"^[0-9a-f]{8}: 0x[0-9a-fA-F]{8}")
_STACK_WORD = re.compile(r"0x([0-9a-fA-F]{8})\b")
_SHA256 = re.compile(r"ELF file SHA256:\s*([0-9a-fA-F]{6,64})")
_END = re.compile(r"^Rebooting\.\.\.|^CPU halted|^Entering gdb stub")

# As ESP-IDF prints them, by their numbers; MEPC stands in the place of x0.
RISCV_REGISTERS = (
    *("MEPC", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0/FP", "S1"),
    *("A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7"),
    *("S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "T3", "T4", "T5", "T6"),
)
_CAUSES = {
    "IllegalInstruction": "the processor met no instruction: a task's function returned, a wrong "
    "function pointer, or damaged flash",
    "InstrFetchProhibited": "it jumped to where no code is: a null or damaged function pointer",
    "LoadProhibited": "it read from an invalid address: a null or damaged pointer",
    "StoreProhibited": "it wrote to an invalid address: a null or damaged pointer",
    "IntegerDivideByZero": "it divided by zero",
    "LoadStoreAlignment": "it read or wrote a word at an address that is no multiple of its size",
    "LoadStoreError": "it read or wrote bytes in memory that takes whole words only",
    "Unhandled debug exception": "a breakpoint or a watchpoint, such as a stack's canary",
    "Interrupt wdt timeout on CPU0": "interrupts were off for too long on core 0",
    "Interrupt wdt timeout on CPU1": "interrupts were off for too long on core 1",
    "Cache disabled but cached memory region accessed": "an interrupt used flash while it was "
    "being written: its code or data belongs into RAM (IRAM_ATTR)",
    "Cache error": "an access to flash or external RAM while its cache was off",
    "Double exception": "an exception within the handling of another one",
    "Instruction access fault": "it jumped to where no code is",
    "Illegal instruction": "the processor met no instruction",
    "Load access fault": "it read from an invalid address: a null or damaged pointer",
    "Store access fault": "it wrote to an invalid address: a null or damaged pointer",
    "Load address misaligned": "it read a word at an address that is no multiple of its size",
    "Store address misaligned": "it wrote a word at an address that is no multiple of its size",
    "Stack protection fault": "a task's stack overflowed",
    "Breakpoint": "a breakpoint outside of a debugger",
    "Memory protection fault": "it used memory against its protection, such as code as data",
}
_KINDS = {
    "check": "a call returned an error that nobody expected",
    "stack_overflow": "this task's stack is too small for what it does",
    "stack_smashed": "a function wrote beyond a buffer on its stack",
    "heap": "something wrote before or behind a block of the heap, or into one that was freed",
    "exception_not_caught": "an exception of C++ that nobody catches",
    "brownout": "the supply fell below the brown-out level: look at it, the cable, Wi-Fi's peaks",
}


@dataclass(frozen=True, slots=True)
class Backtrace:
    """One core's way to the fault: the code addresses, innermost first.

    Attributes:
        is_corrupted: the chip could not follow the stack to its end.
    """

    core: int | None
    addresses: tuple[int, ...]
    is_corrupted: bool = False


@dataclass(frozen=True, slots=True)
class PanicReport:
    """One breakdown of the program on a board.

    Attributes:
        kind: `exception`, `abort`, `assert`, `check`, `stack_overflow`, `stack_smashed`, `heap`,
            `exception_not_caught`, `task_watchdog`, `brownout`, `sanitizer`, `backtrace` (nothing
            but one), `reset` (a watchdog's, and where the processor was).
        headline: the line that says so.
        reason: its reason in the chip's words, or the task whose stack it is; "" for none.
        registers: of each core that printed them, by name.
        elf_sha256: the beginning of the ELF file's SHA-256 in hex, as printed; "" where not.
        stack: (address, bytes) of each line of a RISC-V's stack that was printed.
        lines: all of it.
    """

    port: str
    at_ms: int
    kind: str
    headline: str
    reason: str = ""
    core: int | None = None
    registers: dict[int, dict[str, int]] = field(default_factory=dict)
    backtraces: tuple[Backtrace, ...] = ()
    elf_sha256: str = ""
    stack: tuple[tuple[int, bytes], ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def explanation(self) -> str:
        """The reason for people; "" where the chip's words say it."""
        return explain(self.reason) or _KINDS.get(self.kind, "")

    @property
    def is_riscv(self) -> bool:
        """Whether a RISC-V printed it."""
        return any("MEPC" in registers for registers in self.registers.values())

    @property
    def riscv_registers(self) -> dict[int, int]:
        """The registers of the core that a RISC-V's panic is of, by their numbers; 0 is MEPC."""
        for registers in self.registers.values():
            if "MEPC" in registers:
                return {
                    number: registers[name]
                    for number, name in enumerate(RISCV_REGISTERS)
                    if name in registers
                }
        return {}

    def addresses(self) -> tuple[int, ...]:
        """Every code address that it names, each once, the backtraces' first."""
        found: dict[int, None] = {}
        for backtrace in self.backtraces:
            found.update(dict.fromkeys(backtrace.addresses))
        for registers in self.registers.values():
            for name in ("PC", "MEPC", "RA"):
                if registers.get(name):
                    found[registers[name]] = None
        return tuple(found)


class PanicCollector:
    """Collects one port's panics. Feed it every line; it is cheap for lines that are no panic."""

    def __init__(self, port: str) -> None:
        self._port = port
        self._lines: list[str] = []
        self._draft: PanicReport | None = None
        self._last_ms = 0
        self._core: int | None = None
        self._backtraces: list[Backtrace] = []
        self._stack: list[tuple[int, bytes]] = []
        self._cause: PanicReport | None = None

    @property
    def deadline_ms(self) -> int | None:
        """When a report ends for want of further lines."""
        return None if self._draft is None else self._last_ms + IDLE_MS

    def begins_another(self, line: Line) -> bool:
        """Whether `line` is of a panic that follows the one that is under way without a reset.

        A panic's backtraces, one a core, come last: words that one begins with, or one backtrace
        more, are another one's. `finish` before it is fed.
        """
        if self._draft is None or not self._backtraces:
            return False
        if line.text.startswith("Backtrace:"):
            return len(self._backtraces) >= _MOST_CORES
        return any(pattern.search(line.text) for _, pattern in _HEADLINES)

    def feed(self, line: Line) -> PanicReport | None:
        """The report that `line` ends, or None."""
        text = line.text
        if self._draft is None:
            if not (line.panic or _begins(text)):
                self._take_cause(line)
                return None
            self._draft = PanicReport(self._port, line.at_ms, "backtrace", text)
            self._backtraces, self._lines, self._stack, self._core = [], [], [], None
        elif line.reset or line.record is not None:
            # Records of other tasks may stand between; a boot ends it.
            return self.finish() if line.reset or line.event == "boot" else None
        self._last_ms = line.at_ms
        self._lines.append(text)
        self._read(self._draft, text)
        return self.finish() if _END.match(text) or len(self._lines) >= MAX_LINES else None

    def _take_cause(self, line: Line) -> None:
        """Keep what may be the cause of a breakdown to come; the first says most."""
        if line.reset or line.event == "boot":
            self._cause = None
        if self._cause is not None and line.at_ms - self._cause.at_ms < IDLE_MS:
            return
        for kind, pattern in _CAUSES_BEFORE:
            if (found := pattern.search(line.text)) is not None:
                why = found.groupdict().get("why") or ""
                self._cause = PanicReport(self._port, line.at_ms, kind, line.text, why)

    def tick(self, now_ms: int) -> PanicReport | None:
        """The report that time ends, or None."""
        deadline = self.deadline_ms
        return self.finish() if deadline is not None and now_ms >= deadline else None

    def finish(self) -> PanicReport | None:
        """What there is, as a report."""
        draft, self._draft = self._draft, None
        if draft is None:
            return None
        cause, self._cause = self._cause, None
        lines = tuple(self._lines)
        if (
            cause is not None
            and draft.kind in _ENDS_OF_CAUSES
            and draft.at_ms - cause.at_ms < IDLE_MS
        ):
            lines = (cause.headline, *lines)
            draft = replace(draft, kind=cause.kind, headline=cause.headline, reason=cause.reason)
        return replace(
            draft, backtraces=tuple(self._backtraces), stack=tuple(self._stack), lines=lines
        )

    def _read(self, draft: PanicReport, text: str) -> None:
        for kind, pattern in _HEADLINES:
            found = pattern.search(text)
            # Of an assert and the abort that it ends in, the first says more.
            if found is not None and draft.kind == "backtrace":
                groups = found.groupdict()
                core = groups.get("core") or groups.get("old_core")
                self._draft = replace(
                    draft,
                    kind=kind,
                    headline=text,
                    reason=groups.get("why") or groups.get("old_why") or groups.get("ub") or "",
                    core=None if core is None else int(core),
                )
                self._core = self._draft.core
                if groups.get("pc"):
                    # Where abort() was called, whether or not a backtrace follows.
                    self._draft.registers.setdefault(int(core or 0), {})["PC"] = int(
                        groups["pc"] or "0", 16
                    )
                return
        if dump := _DUMP.match(text):
            self._core = int(dump[1])
        elif trace := _BACKTRACE.match(text):
            addresses = tuple(int(pc, 16) for pc, _ in _FRAME.findall(trace[1]))
            corrupted = "CORRUPTED" in trace[1]
            if addresses:
                self._backtraces.append(Backtrace(self._core, addresses, corrupted))
        elif overflowed := _OVERFLOWED.search(text):
            task = overflowed["canary"] or overflowed["guard"]
            self._draft = replace(draft, kind="stack_overflow", reason=task)
        elif sha := _SHA256.search(text):
            self._draft = replace(draft, elf_sha256=sha[1].lower())
        elif _STACK.match(text):
            address, _, words = text.partition(":")
            data = b"".join(
                int(word, 16).to_bytes(4, "little") for word in _STACK_WORD.findall(words)
            )
            self._stack.append((int(address, 16), data))
        else:
            for name, value in _REGISTER.findall(text):
                draft.registers.setdefault(self._core or 0, {})[name] = int(value, 16)


def explain(reason: str) -> str:
    """A panic's reason for people; "" where the chip's words say it."""
    return _CAUSES.get(reason, "")


def _begins(text: str) -> bool:
    return "triggered" in text and any(pattern.search(text) for _, pattern in _HEADLINES)
