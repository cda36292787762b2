# SPDX-License-Identifier: GPL-3.0-or-later
"""Decodes panics beside the stream: finds the ELF file, has it decoded elsewhere, shows the result.

Reading a port never waits for any of it: a panic goes into a queue of a few places, a thread asks
the decoding process, and what comes back is shown when the stream next looks at the time.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evtool.errors import Stopped, ToolError
from evtool.monitor.panic.frames import Decoded, Frame
from evtool.monitor.panic.listener import PanicListener
from evtool.monitor.panic.report import PanicReport
from evtool.monitor.panic.reset_reasons import ResetReason
from evtool.monitor.panic.which_elf import Choice, ElfFile, Identity, choose
from evtool.monitor.redact import mask_document

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.monitor.follow import Line
    from evtool.monitor.stream import Audience, Batch, News
    from evtool.project import Project

_WAITING = 16
_KEPT = 200  # panics that need not be decoded again
_POLL_MS = 100
# At the end of a watch that nobody ended: the first decoding reads a whole ELF file.
_DRAIN_S = 30.0

Job = tuple[PanicReport, Identity]


@dataclass(frozen=True, slots=True)
class Stack:
    """What is known of a RISC-V's stack: registers by their numbers, and memory."""

    pc: int
    registers: Mapping[int, int]
    memory: Sequence[tuple[int, bytes]]

    def as_dict(self) -> dict[str, object]:
        """As the decoding process takes it."""
        return {
            "pc": self.pc,
            "registers": {str(number): value for number, value in self.registers.items()},
            "memory": [[address, data.hex()] for address, data in self.memory],
        }


class PanicDecoding:
    """Listens to all ports; a context manager that shows what is still under way at its end.

    Args:
        elf_paths: the ELF files that may be looked into, read again for each panic.
        tool_folders: where toolchains may be.
        show: takes a decoded panic.
        tell: takes one line about a reset, or about panics that are not decoded.
        hurried: whether the user wants the end now; then nothing is waited for. The same holds
            where an exception ends the `with` that is no error of ours.

    Attributes:
        waits: whether `on_lines` waits until all is decoded; else `on_time` shows it later.
    """

    def __init__(
        self,
        elf_paths: Callable[[], Sequence[Path]],
        tool_folders: Sequence[Path],
        show: Callable[[Decoded], None],
        tell: Callable[[str, str], None],
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        self.waits = True
        self._elf_paths = elf_paths
        self._tool_folders = [str(folder) for folder in tool_folders]
        self._show = show
        self._tell = tell
        self._hurried = hurried
        self._listeners: dict[str, PanicListener] = {}
        self._heard: list[Batch] = []  # and not looked through yet
        self._jobs: queue.Queue[Job | None] = queue.Queue(_WAITING)
        self._done: queue.Queue[Decoded] = queue.Queue()
        self._under_way: list[PanicReport] = []
        self._left_out = 0
        self._thread: threading.Thread | None = None
        self._decoder = ElfDecoder(elf_paths, self._tool_folders)

    def __enter__(self) -> PanicDecoding:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._look_through()
        for listener in self._listeners.values():
            listener.finish()
        is_wanted = kind is not None and (not issubclass(kind, Exception) or kind is Stopped)
        try:
            if is_wanted or self._hurried():
                self._deliver(0)
            else:
                self._drain()
        finally:
            self._decoder.close()
        for report in self._under_way:
            self._tell("panics_not_decoded", f"not decoded, the watch was over: {report.headline}")
        skipped = self._left_out + sum(each.skipped for each in self._listeners.values())
        if skipped:
            self._tell("panics_not_decoded", f"{skipped} more panics came, too fast to be decoded")

    def attach(self, audience: Audience) -> None:
        """Listen."""
        audience.batches.append(self)
        audience.times.append(self)
        audience.news.append(self)

    # --- what is heard ----------------------------------------------------------

    def on_batch(self, batch: Batch) -> None:
        """Bytes of a port; looked through in `on_time`, several batches at once."""
        self._heard.append(batch)

    def _look_through(self) -> None:
        heard, self._heard = self._heard, []
        for port, group in itertools.groupby(heard, lambda batch: batch.port):
            batches = list(group)
            data = b"".join([batch.data for batch in batches])
            self._listener(port).feed(data, batches[-1].at_ms)

    def on_lines(self, lines: Sequence[Line]) -> None:
        """Lines of a log, instead of bytes; nobody waits for the next ones, so this may wait."""
        for line in lines:
            listener = self._listener(line.port)
            listener.tick(line.at_ms)
            listener.feed(line.text.encode() + b"\n", line.at_ms)
        if self.waits:
            self._drain()

    def on_news(self, news: News) -> None:
        """A port that is gone ends the panic that it was printing."""
        if news.event == "disconnected":
            self._look_through()
            self._listener(news.port).finish()

    def on_time(self, now_ms: int) -> int | None:
        """Look through what came; show what is decoded."""
        self._look_through()
        deadlines = []
        for listener in self._listeners.values():
            listener.tick(now_ms)
            if listener.deadline_ms is not None:
                deadlines.append(listener.deadline_ms)
        self._deliver(0)
        if self._under_way:
            deadlines.append(now_ms + _POLL_MS)
        return min(deadlines, default=None)

    def _listener(self, port: str) -> PanicListener:
        if port not in self._listeners:
            self._listeners[port] = PanicListener(port, self._submit, self._reset)
        return self._listeners[port]

    def _reset(self, reason: ResetReason) -> None:
        if reason.fault:
            self._tell("reset_reason", f"{reason.name} ({reason.code:#x}): {reason.text}")

    # --- decoding -----------------------------------------------------------------

    def _submit(self, report: PanicReport, identity: Identity) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="panic decoder", daemon=True)
            self._thread.start()
        try:
            self._jobs.put_nowait((report, identity))
        except queue.Full:
            self._left_out += 1
            return
        self._under_way.append(report)

    def _drain(self) -> None:
        """Show what is under way, when it is there."""
        limit_s = time.monotonic() + _DRAIN_S
        while self._under_way and time.monotonic() < limit_s and not self._hurried():
            self._deliver(_POLL_MS / 1000)

    def _deliver(self, timeout_s: float) -> None:
        while self._under_way:
            try:
                decoded = (
                    self._done.get(timeout=timeout_s) if timeout_s else self._done.get_nowait()
                )
            except queue.Empty:
                return
            self._under_way.pop(0)  # one after the other
            self._show(decoded)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                decoded = self._decoder.decode(*job)
            except BaseException:
                # A bug of ours: whoever waits for this panic must not wait for ever.
                self._done.put(Decoded(job[0], "", "the decoder failed", {}))
                raise
            self._done.put(decoded)


class ElfDecoder:
    """Chooses the ELF file and has the addresses decoded; each panic of one kind once."""

    def __init__(self, elf_paths: Callable[[], Sequence[Path]], tool_folders: list[str]) -> None:
        from evtool.link.panic_process import PanicProcess

        self._elf_paths = elf_paths
        self._tool_folders = tool_folders
        self._process = PanicProcess()
        self._facts: dict[tuple[Path, int, int], ElfFile | None] = {}
        self._answers: dict[tuple[object, ...], dict[str, Any]] = {}

    def close(self) -> None:
        """End the decoding process."""
        self._process.end()

    def decode(self, report: PanicReport, identity: Identity) -> Decoded:
        """The panic, as far as it can be decoded; never raises for what a user's files hold."""
        addresses = report.addresses()
        if not addresses:
            return Decoded(report, "", "", {})
        try:
            choice = self.choose(report.elf_sha256, identity)
            if choice.elf is None:
                return Decoded(report, "", choice.reason, {})
            return self._decoded(report, choice, choice.elf)
        except ToolError as error:
            return Decoded(report, "", error.message, {})

    def choose(self, sha256: str, identity: Identity) -> Choice:
        """The ELF file of the program that says this of itself.

        Raises:
            ToolError: the decoding process does not answer.
        """
        return choose(sha256, identity, self._candidates())

    def places(
        self,
        elf: ElfFile,
        addresses: Sequence[int],
        stacks: Sequence[dict[str, object]] = (),
        panic: str | None = None,
    ) -> dict[str, Any]:
        """What the decoding process answers of these addresses; `error` where it cannot.

        Args:
            stacks: a RISC-V's, to be unwound.
            panic: the same as the panic's text, for a gdb.

        Raises:
            ToolError: the decoding process does not answer.
        """
        return self._process.ask(
            {
                "do": "decode",
                "path": str(elf.path),
                "sha256": elf.sha256,
                "addresses": list(addresses),
                "stacks": list(stacks),
                "panic": panic,
                "folders": self._tool_folders,
            }
        )

    def _candidates(self) -> list[ElfFile]:
        found = []
        for path in self._elf_paths():
            try:
                status = path.stat()
            except OSError:
                continue
            key = (path, status.st_mtime_ns, status.st_size)
            if key not in self._facts:
                answer = self._process.ask({"do": "facts", "path": str(path)})
                self._facts[key] = None if "error" in answer else ElfFile(path, **answer)
            elf = self._facts[key]
            if elf is not None:
                found.append(elf)
        return found

    def _decoded(self, report: PanicReport, choice: Choice, elf: ElfFile) -> Decoded:
        addresses = report.addresses()
        unwinds = report.is_riscv and bool(report.stack)
        # A RISC-V's backtrace lies in its stack; an Xtensa's is in the addresses.
        key = (elf.sha256, addresses, report.lines if unwinds else ())
        answer = self._answers.get(key)
        if answer is None:
            panic = "\n".join(report.lines) + "\n" if unwinds else None
            stacks = []
            if unwinds:
                registers = report.riscv_registers
                stacks = [Stack(registers[0], registers, report.stack).as_dict()]
            answer = self.places(elf, addresses, stacks, panic)
            while len(self._answers) >= _KEPT:
                self._answers.pop(next(iter(self._answers)))
            self._answers[key] = answer
        if "error" in answer:
            return Decoded(report, "", str(answer["error"]), {})
        return Decoded(
            report,
            str(elf.path),
            choice.reason,
            frames_of(answer),
            answer["decoder"],
            tuple(answer["ways"][0]) if answer["ways"] else (),
            tuple(answer["unwound"]),
            answer["note"],
        )


def frames_of(answer: dict[str, Any]) -> dict[int, list[Frame]]:
    """The places in an answer of the decoding process."""
    return {
        int(address): [Frame(**place) for place in found]
        for address, found in answer["places"].items()
    }


def tool_folders(project: Project | None) -> list[Path]:
    """Where toolchains may be on this computer."""
    from evtool.link.panic_tools import package_folders

    bundle = None if project is None else project.build.bundle
    return package_folders(dict(os.environ), Path.home(), bundle)


def elf_paths(named: Sequence[Path], project: Project | None) -> Callable[[], Sequence[Path]]:
    """The ELF files that may be the board's program: those named, else the project's builds."""
    from evtool.link.panic_process import elf_candidates

    folders = []
    if project is not None:
        # PlatformIO's results with their symbols, and what `evtool build` made of them.
        folders = [project.build.firmware / ".pio" / "build", project.root / "build"]
    return lambda: elf_candidates(list(named), folders)


def decoding(
    named: Sequence[Path],
    project_path: Path | None,
    output: Output,
    note: Callable[[str, str], None],
    mask: Callable[[str], str] = str,
    now_ms: Callable[[], int] | None = None,
    hurried: Callable[[], bool] = lambda: False,
) -> PanicDecoding:
    """The decoding of one run of the monitor.

    Args:
        named: what `--elf` named.
        note: takes what a person reads: an event's name, and a line.
        mask: hides secrets: a decoder shows the texts that it finds in a stack.
        now_ms: Unix time in milliseconds, for JSON lines; None: the host's. A log has its own.
        hurried: as of `PanicDecoding`.
    """
    from evtool.cli.monitor_lines import timestamp
    from evtool.link.clock import unix_ms

    clock = now_ms or unix_ms
    project = project_of(project_path)

    def show(decoded: Decoded) -> None:
        if output.as_json:
            fields = mask_document(decoded.as_dict(), mask) | {"port": decoded.report.port}
            output.event("panic_decoded", time=timestamp(clock()), **fields)
            return
        for line in decoded.lines():
            note("panic_decoded", mask(line))

    def tell(event: str, text: str) -> None:
        if output.as_json:
            output.event(event, time=timestamp(clock()), text=text)
        else:
            note(event, text)

    return PanicDecoding(elf_paths(named, project), tool_folders(project), show, tell, hurried)


def project_of(project_path: Path | None) -> Project | None:
    """The project that is meant; None where there is none."""
    from evtool.cli.options import open_project
    from evtool.errors import ConfigError
    from evtool.project import find_project

    if project_path is None:
        try:
            project_path = find_project(Path.cwd())
        except ConfigError:
            return None
    return open_project(project_path)
