# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual board, from the reset button to the running application.

::

    OFF        no power
    HELD       reset line low; nothing runs
    BOOTING    the boot loaders' time; ends in APP or HALTED
    APP        the application runs
    HALTED     nothing bootable, or the application crashed: starts again after a while
    ROM        the serial loader of the mask ROM answers the host
    STUB       a flasher stub answers the host
    RAM        a program in RAM prints what it prints
    LOST       code of unknown meaning was started in RAM: silent until a reset

A USB-UART's DTR and RTS lines reset the chip as on a development board. Where nobody carries
them (a pseudo-terminal, a plain socket), two rules stand in for them: a complete SYNC frame,
which no application understands, resets a chip that is not in a loader into the ROM's loader;
and when the last program closes the port while a loader runs, the chip is reset and boots.

The board has no clock and opens nothing: bytes and times (ms) come in as arguments, and what
it wants done is collected as effects, which `take` hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evtool.protocol import slip
from evtool.protocol.app_image import decode_description
from evtool.protocol.esp_loader import Request, decode_request
from evtool.virtual.board.application import start_of
from evtool.virtual.board.mode import Crash, Mode
from evtool.virtual.board.panic_text import panic_text
from evtool.virtual.board.reset_circuit import Edge, ResetCircuit
from evtool.virtual.board.restart import Restart
from evtool.virtual.board.sync_watch import SyncWatch
from evtool.virtual.board_nvs import store_value
from evtool.virtual.boot import BootResult, ResetCause, boot
from evtool.virtual.boot.flash_view import FlashView
from evtool.virtual.boot.otadata import SlotState
from evtool.virtual.boot.second_stage import ota_data
from evtool.virtual.chips import ESP32, Chip
from evtool.virtual.effects import (
    AppInput,
    Busy,
    Discard,
    Effect,
    Report,
    StopApp,
    Transmit,
)
from evtool.virtual.flash_chip import FlashChip, PowerCutError
from evtool.virtual.fuses import Fuses, factory_bits
from evtool.virtual.loaders.loader import Loader, Next, Reply
from evtool.virtual.loaders.program import Program, load_program
from evtool.virtual.loaders.rom import RomLoader
from evtool.virtual.loaders.stub import StubLoader
from evtool.virtual.soc import Soc
from evtool.virtual.spi_bus import SpiBus

BOOT_MS = 50
# An application that ran this long has started properly; its next crash restarts at once.
_STABLE_MS = 10_000
# The RTC watchdog's shortest delay, rounded up: the host's next request is still answered.
_WATCHDOG_MS = 20
_LOADERS = frozenset({Mode.ROM, Mode.STUB, Mode.RAM, Mode.LOST})


class Board:
    """One board, without power at first.

    Args:
        flash: its flash chip.
        mac: its MAC address, 6 bytes.
        random_bytes: so many random bytes; the board has no source of chance of its own.
        chip: which chip, where `fuses` does not say it.
        fuses: what is burned into the chip; None: what the factory burns.
        external: a second flash chip, at other pins.
    """

    def __init__(
        self,
        flash: FlashChip,
        mac: bytes,
        random_bytes: Callable[[int], bytes],
        *,
        chip: Chip = ESP32,
        fuses: Fuses | None = None,
        external: FlashChip | None = None,
    ) -> None:
        self.flash = flash
        self.fuses = fuses if fuses is not None else Fuses(chip, factory_bits(chip, mac))
        self.chip = self.fuses.chip
        self.mode = Mode.OFF
        self._soc = Soc(self.fuses, SpiBus(flash, external))
        self._random_bytes = random_bytes
        self._mac = mac
        self._effects: list[Effect] = []
        self._deadline_ms: int | None = None
        self._loader: Loader | None = None
        self._program: Program | None = None
        self._decoder = slip.Decoder()
        self._watch = SyncWatch()
        self._circuit = ResetCircuit()
        self._lines_carried = False
        self._cause = ResetCause.POWER_ON
        self._restart = Restart()
        self._app_started_ms = 0
        self._boot: BootResult | None = None
        self._last_failure: str | None = None
        self._told_mode = Mode.OFF

    # --- what is asked of it ------------------------------------------------------

    def take(self) -> list[Effect]:
        """The effects since the last call, in order."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is wanted, or None: only when something happens."""
        return self._deadline_ms

    def status(self) -> dict[str, object]:
        """What an operator may want to know."""
        status: dict[str, object] = {
            "mode": self.mode.value,
            "chip": self.chip.name,
            "mac": self._mac.hex(":"),
            "reset": self._cause.reason,
            "flash_size": self.flash.size,
            "flash_encryption": self._soc.encrypts_flash,
            "secure_boot": bool(self.fuses.field(self.chip.security.secure_boot)),
        }
        if self._boot is not None and self._boot.partition is not None:
            status["partition"] = self._boot.partition.name
        if self._last_failure is not None:
            status["failure"] = self._last_failure
        return status

    def power_on(self, now_ms: int) -> None:
        """Power comes on, or comes back."""
        self.reset(ResetCause.POWER_ON, now_ms)

    def power_off(self) -> None:
        """The power goes: whatever ran is gone, and nothing answers."""
        self._stop_everything()
        self._effects.append(Discard())
        self._enter(Mode.OFF)

    def press_reset(self, now_ms: int) -> None:
        """The reset button. The ESP32 reports it as a power-on reset."""
        if self.mode is not Mode.OFF:
            self.reset(ResetCause.POWER_ON, now_ms)

    def reset(self, cause: ResetCause, now_ms: int) -> None:
        """Reset and boot: from flash, or into the loader where a line selects it."""
        if cause is ResetCause.POWER_ON:
            self._restart.forget()
            self._last_failure = None
            self._report("reset", reason=cause.reason)
        self._stop_everything()
        self._cause = cause
        if self._circuit.holds_reset:
            self._enter(Mode.HELD)
            return
        if self._circuit.selects_loader and self._lines_carried:
            self._start_loader()
            return
        self._soc.reset()
        self._send_text(self.chip.rom.banner(cause, download=False).encode())
        self._enter(Mode.BOOTING)
        self._deadline_ms = now_ms + BOOT_MS

    def crash(self, how: Crash, now_ms: int, backtrace: Sequence[int] = ()) -> None:
        """End the application from outside, as its own fault or the supply's would.

        `backtrace` is what a panic tells of the way to the fault: code addresses, innermost first.
        """
        if self.mode is not Mode.APP:
            return
        if how is Crash.PANIC:
            fault = "Load access fault" if self.chip.riscv else "LoadProhibited"
            self._panic(fault, -1, backtrace)
            self._cause = ResetCause.PANIC
        elif how is Crash.WATCHDOG:
            self._cause = ResetCause.TIMER_WATCHDOG
        else:
            self._send_text(b"\r\nBrownout detector was triggered\r\n\r\n")
            self._cause = ResetCause.BROWNOUT
        self._halt(self._cause, now_ms)

    def mark_application(self, valid: bool, now_ms: int) -> bool:
        """What the application would tell the boot loader of itself; whether it could.

        An application that is not valid restarts the chip, and the other slot starts.
        """
        result = self._boot
        if self.mode is not Mode.APP or result is None:
            return False
        data = ota_data(FlashView(self._soc), result.partitions)
        entry = data.active() if data is not None else None
        if data is None or entry is None:
            return False
        try:
            data.set_state(entry, SlotState.VALID if valid else SlotState.INVALID)
        except PowerCutError:
            self._power_lost()
            return False
        if not valid:
            self._halt(ResetCause.SOFTWARE, now_ms)
        return True

    def on_lines(self, dtr: bool, rts: bool, now_ms: int) -> None:
        """The state of DTR and RTS, which somebody carries until the port is closed."""
        self._lines_carried = True
        edge = self._circuit.change(dtr, rts)
        if self.mode is Mode.OFF:
            return
        if edge is Edge.HELD:
            self._stop_everything()
            self._enter(Mode.HELD)
        elif edge is Edge.RELEASED:
            self.reset(ResetCause.POWER_ON, now_ms)

    def on_last_close(self, now_ms: int) -> None:
        """Nobody has the serial port open any more."""
        if self._lines_carried:
            # Both lines fall, which by itself resets nothing.
            self.on_lines(False, False, now_ms)
            self._lines_carried = False
        elif self.mode in _LOADERS:
            self.reset(ResetCause.POWER_ON, now_ms)

    def on_baudrate(self, baudrate: int) -> None:
        """The host's rate, which the chip follows."""
        self._soc.registers.set_baudrate(baudrate)

    def on_serial(self, data: bytes, now_ms: int) -> None:
        """Bytes from the host."""
        try:
            self._take_serial(data, now_ms)
        except PowerCutError:
            self._power_lost()

    def on_app_console(self, data: bytes) -> None:
        """The application printed something."""
        if self.mode is Mode.APP:
            self._send_text(data)

    def on_app_store(self, key: str, value: int) -> bool:
        """The application stores a value in the partition `nvs`, namespace `evstate`.

        Returns:
            whether it is there now.
        """
        if self.mode is not Mode.APP or self._boot is None:
            return False
        try:
            problem = store_value(self.flash, self._boot.partitions, key, value)
        except PowerCutError:
            self._power_lost()
            return False
        if problem is not None:
            self._report("store_failed", key=key, reason=problem)
        return problem is None

    def on_app_exit(self, return_code: int, how: str, now_ms: int) -> None:
        """The application ended by itself: 0 is a restart it asked for, else a crash.

        Args:
            return_code: its exit code, negative: killed by that signal.
            how: the end in words, for the console.
            now_ms: when.
        """
        if self.mode is not Mode.APP:
            return
        if now_ms - self._app_started_ms >= _STABLE_MS:
            self._restart.forget()
        if return_code == 0:
            self._cause = ResetCause.SOFTWARE
        else:
            self._cause = ResetCause.PANIC
            self._panic(how, return_code)
        self._halt(self._cause, now_ms)

    def tick(self, now_ms: int) -> None:
        """Time has come to `now_ms`."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return
        self._deadline_ms = None
        if self.mode is Mode.BOOTING:
            try:
                self._boot_from_flash(now_ms)
            except PowerCutError:
                self._power_lost()
        elif self.mode is Mode.HALTED:
            due = self._restart.look(now_ms)
            if due is None:
                self.reset(self._cause, now_ms)
                return
            words, self._deadline_ms = due
            self._send_text(words)
        elif self.mode is Mode.RAM and self._program is not None:
            self._run_program(self._program, now_ms)
        elif self.mode in _LOADERS:
            self.reset(ResetCause.RTC_WATCHDOG, now_ms)

    # --- booting ------------------------------------------------------------------

    def _boot_from_flash(self, now_ms: int) -> None:
        result = boot(self._soc)
        self._boot = result
        self._send_text(result.text())
        if result.application is None or result.partition is None:
            reason = result.failure or "nothing to boot"
            self._fail(reason, result.next_cause, now_ms, result.repeated_text())
            return
        clear = FlashView(self._soc)
        started = start_of(result, self.flash, clear, self._cause.reason, self._random_bytes)
        if started is None:
            # A real chip runs it, a computer cannot; starting again would change nothing.
            reason = "this application is for the chip; build one with `evtool build --env host`"
            self._send_text(f"E virtual_board: {reason}\r\n".encode())
            self._fail(reason, self._cause, now_ms)
            self._deadline_ms = None
            return
        start, fields = started
        self._last_failure = None
        self._app_started_ms = now_ms
        self._effects.append(start)
        self._enter(Mode.APP)
        self._report("app", reset=self._cause.reason, **fields)

    def _fail(self, failure: str, cause: ResetCause, now_ms: int, words: bytes = b"") -> None:
        if failure != self._last_failure:
            self._last_failure = failure
            self._report("boot_failed", reason=failure)
        self._cause = cause
        self._halt(cause, now_ms, words)

    def _panic(self, how: str, return_code: int, backtrace: Sequence[int] = ()) -> None:
        image = None if self._boot is None else self._boot.application
        description = None if image is None else decode_description(image)
        text = panic_text(
            how,
            riscv=self.chip.riscv,
            backtrace=backtrace,
            elf_sha256=None if description is None else description.elf_sha256,
        )
        self._send_text(text.encode("ascii", "replace"))
        self._report("panic", how=how, return_code=return_code)

    def _halt(self, cause: ResetCause, now_ms: int, words: bytes = b"") -> None:
        """Start again after a while."""
        self._stop_everything()
        self._cause = cause
        self._enter(Mode.HALTED)
        self._deadline_ms = self._restart.plan(now_ms, words)

    def _power_lost(self) -> None:
        self._report("power_cut")
        self.power_off()

    def _stop_everything(self) -> None:
        if self.mode is Mode.APP:
            self._effects.append(StopApp())
        self._loader = None
        self._program = None
        self._deadline_ms = None
        self._watch.clear()
        self._decoder = slip.Decoder()

    def _enter(self, mode: Mode) -> None:
        self.mode = mode
        # A chip with nothing to boot goes round in circles: that is said once.
        if mode is not Mode.BOOTING and mode is not self._told_mode:
            self._told_mode = mode
            self._report("mode", mode=mode.value)

    # --- the serial line ----------------------------------------------------------

    def _take_serial(self, data: bytes, now_ms: int) -> None:
        while data:
            if self._loader is not None:
                # The loader may end with any frame; what follows belongs to what runs then.
                end = data.find(slip.END) + 1 or len(data)
                self._feed_loader(self._loader, data[:end], now_ms)
            elif self.mode in {Mode.HELD, Mode.OFF}:
                return
            elif self._lines_carried:
                self._type(data)
                return
            else:
                watched = self._watch.look(data)
                end = watched.taken
                self._type(watched.typed)
                if watched.sync is not None:
                    self._effects.append(Discard())
                    self._stop_everything()
                    self._start_loader()
                    if self._loader is not None:
                        self._feed_loader(self._loader, slip.encode(watched.sync), now_ms)
            data = data[end:]

    def _type(self, data: bytes) -> None:
        if data and self.mode is Mode.APP:
            self._effects.append(AppInput(data))

    def _start_loader(self) -> None:
        """A reset with the strapping pin low."""
        self._cause = ResetCause.POWER_ON
        self._enter_rom(greet=True)

    def _enter_rom(self, *, greet: bool = False) -> None:
        self._stop_everything()
        self._soc.reset()
        self._restart.forget()
        if greet:
            # After a SYNC nobody waits for words; after a reset by the lines they are read.
            download = self._soc.has_loader
            banner = self.chip.rom.banner(self._cause, download=download)
            if self._lines_carried:
                self._send_text(banner.encode())
        if self._soc.has_loader:
            self._loader = RomLoader(self._soc)
            self._enter(Mode.ROM)
        else:
            # The fuses have taken the loader away, and the pin does not let it boot.
            self._enter(Mode.LOST)

    def _feed_loader(self, loader: Loader, data: bytes, now_ms: int) -> None:
        for frame in self._decoder.feed(data):
            if not isinstance(frame, bytes):
                continue
            reply = loader.handle_raw(frame)
            if reply is None:
                request = decode_request(frame)
                if not isinstance(request, Request):
                    continue
                reply = loader.handle(request)
            self._answer(loader, reply, now_ms)

    def _answer(self, loader: Loader, reply: Reply, now_ms: int) -> None:
        wire = b"".join(slip.encode(frame) for frame in reply.frames)
        busy = self._busy()
        if busy and not reply.early:
            self._effects += busy
        if wire:
            self._effects.append(Transmit(wire, discardable=False))
        if busy and reply.early:
            self._effects += busy
        match reply.then:
            case Next.STAY:
                if self._soc.registers.watchdog_armed and self._deadline_ms is None:
                    self._deadline_ms = now_ms + _WATCHDOG_MS
            case Next.BOOT:
                self.reset(ResetCause.SOFTWARE, now_ms)
            case Next.ROM:
                self._enter_rom()
            case Next.STUB:
                stub = StubLoader(self._soc)
                self._loader = stub
                greeting = slip.encode(stub.greeting())
                self._effects.append(Transmit(greeting, discardable=False))
                self._enter(Mode.STUB)
            case Next.UNKNOWN_CODE:
                self._loader = None
                program = load_program(self.chip, loader.memory, loader.entry)
                if program is None:
                    self._enter(Mode.LOST)
                else:
                    self._enter(Mode.RAM)
                    self._run_program(program, now_ms)

    def _busy(self) -> list[Effect]:
        """How long the flash chips would have taken for what was just asked of them."""
        total = 0
        for flash in filter(None, (self.flash, self._soc.bus.external)):
            total += flash.busy_us
            flash.busy_us = 0
        return [Busy(total)] if total else []

    def _run_program(self, program: Program, now_ms: int) -> None:
        self._program = program
        self._send_text(program.text)
        self._deadline_ms = now_ms + program.period_ms if program.period_ms else None

    def _send_text(self, data: bytes) -> None:
        if data:
            self._effects.append(Transmit(data, discardable=True))

    def _report(self, event: str, **fields: object) -> None:
        self._effects.append(Report(event, fields))
