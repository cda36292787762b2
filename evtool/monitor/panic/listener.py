# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds panics and resets in one port's bytes, at next to no cost where there are none.

All bytes are searched for the words that a panic, a reset or a boot begins with; lines are made,
and looked at, only from there to the end of the panic. So a flood of plain text costs one search,
and a flood of panics no more than that once the first ones are through.
"""

from __future__ import annotations

from collections.abc import Callable

from ahocorasick_rs import BytesAhoCorasick

from evtool.monitor.follow import Line, read_line
from evtool.monitor.panic.report import PanicCollector, PanicReport
from evtool.monitor.panic.reset_reasons import ResetReason, reset_reason, saved_pc
from evtool.monitor.panic.which_elf import Identity, ProgramIdentity
from evtool.protocol.console import MAX_LINE_BYTES, clean_text

# A breakdown, and the lines that stand before or behind one and count no further.
_HEADLINES = (
    b"Guru Meditation",
    b"abort() was called",
    b"assert failed",
    b"Stack canary",
    b"***ERROR***",
    b"Sanitizer",
    b"runtime error:",
    b"Brownout detector",
    b"watchdog got triggered",
)
_WITHIN = (
    b"Backtrace:",
    b"ESP_ERROR_CHECK",
    b"CORRUPT HEAP",
    b"Stack smashing",
    b'assertion "',
    b"- assert failed!",
    b"terminate called",
)
# What tells which program runs.
_PROGRAM = (b"rst:0x", b"Saved PC:", b"ELF file SHA256", b"[event] boot")
_find_marks = BytesAhoCorasick((*_HEADLINES, *_WITHIN, *_PROGRAM)).find_matches_as_indexes
_FIRST_PROGRAM = len(_HEADLINES) + len(_WITHIN)
_BUDGET = 20  # panics, and again when it has been quiet
_BUDGET_MS = 10_000


class PanicListener:
    """One port. `on_report` and `on_reset` are called from within `feed` and `tick`.

    Attributes:
        skipped: panics that came too fast.
    """

    def __init__(
        self,
        port: str,
        on_report: Callable[[PanicReport, Identity], None],
        on_reset: Callable[[ResetReason], None],
    ) -> None:
        self._port = port
        self._on_report = on_report
        self._on_reset = on_reset
        self._identity = ProgramIdentity()
        self._collector = PanicCollector(port)
        self._tail = b""  # of the last line, which may have begun as something of interest
        self._reading = False  # whether lines are made
        self._left = _BUDGET
        self._renew_ms = 0
        self._reset: ResetReason | None = None  # the last one, until its processor's place is told
        self._before = Identity()
        self.skipped = 0

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is wanted."""
        return self._collector.deadline_ms

    def feed(self, data: bytes, now_ms: int) -> None:
        """Bytes that came."""
        data = self._tail + data
        if not self._reading:
            marks = _find_marks(data)
            if not marks:
                # A word may be cut between two reads.
                self._tail = data[data.rfind(b"\n") + 1 :][-MAX_LINE_BYTES:]
                return
            if self._left == 0 and now_ms < self._renew_ms:
                self._count(data, marks, now_ms)
                return
            data = data[data.rfind(b"\n", 0, marks[0][1]) + 1 :]
            self._reading = True
        *lines, rest = data.split(b"\n")
        for line in lines:
            text = clean_text(line[:MAX_LINE_BYTES].removesuffix(b"\r"))
            self._line(read_line(text, now_ms))
        self._tail = rest[:MAX_LINE_BYTES]
        self._reading = self._collector.deadline_ms is not None or bool(_find_marks(rest))

    def _count(self, data: bytes, marks: list[tuple[int, int, int]], now_ms: int) -> None:
        """In a flood, panics are counted; of what tells of the program, the last is read."""
        end = data.rfind(b"\n") + 1
        latest: dict[int, int] = {}
        for mark, start, _ in marks:
            if start >= end:
                break
            if mark < len(_HEADLINES):
                self.skipped += 1
            if mark < _FIRST_PROGRAM:
                self._renew_ms = now_ms + _BUDGET_MS
            else:
                latest[mark] = start
        for start in sorted(latest.values()):
            line = data[data.rfind(b"\n", 0, start) + 1 : data.index(b"\n", start)]
            text = clean_text(line[:MAX_LINE_BYTES].removesuffix(b"\r"))
            self._read_program(read_line(text, now_ms))
        self._tail = data[end:][-MAX_LINE_BYTES:]

    def tick(self, now_ms: int) -> None:
        """Time has come to `now_ms`."""
        self._report(self._collector.tick(now_ms))

    def finish(self) -> None:
        """The port is gone, or the watch over."""
        if self._reading and self._tail:
            self._line(read_line(clean_text(self._tail), 0))
        self._report(self._collector.finish())
        self._reading, self._tail = False, b""

    def _line(self, line: Line) -> None:
        if self._collector.begins_another(line):
            self._report(self._collector.finish())
        if self._collector.deadline_ms is None and not self._may_spend(line):
            return
        report = self._collector.feed(line)
        self._report(report)
        # After the report: the reset that ends a panic belongs to the next program.
        self._read_program(line)

    def _read_program(self, line: Line) -> None:
        before = self._identity.now
        self._identity.feed(line)
        if line.reset:
            self._reset, self._before = reset_reason(line.text), before
            if self._reset is not None:
                self._on_reset(self._reset)
        elif self._reset is not None and (address := saved_pc(line.text)) is not None:
            # The later chips' ROM says where the processor was: of the program before the reset.
            reset, self._reset = self._reset, None
            if reset.fault:
                text = f"{reset.name} ({reset.code:#x}), {line.text}"
                report = PanicReport(self._port, line.at_ms, "reset", text, reset.text)
                report.registers[0] = {"PC": address}
                self._on_report(report, self._before)

    def _may_spend(self, line: Line) -> bool:
        """Whether a panic may begin here: a flood of them is counted, not decoded."""
        if not line.panic:
            return True
        if line.at_ms >= self._renew_ms:
            self._left = _BUDGET
        self._renew_ms = line.at_ms + _BUDGET_MS
        if self._left == 0:
            self.skipped += not line.text.startswith("Backtrace:")  # it follows another such line
            return False
        self._left -= 1
        return True

    def _report(self, report: PanicReport | None) -> None:
        if report is not None:
            self._on_report(report, self._identity.now)
