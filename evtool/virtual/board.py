# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual ESP32 board, from the reset button to the running application.

::

    HELD       reset line low; nothing runs
    BOOTING    the boot loaders' time; ends in APP or HALTED
    APP        the application runs
    HALTED     nothing bootable, or the application crashed: starts again after a while
    ROM        the serial loader of the mask ROM answers the host
    STUB       a flasher stub answers the host
    LOST       code of unknown meaning was started in RAM: silent until a reset

A USB-UART's DTR and RTS lines reset the chip as on a development board. A pseudo-terminal
has no such lines, so two further rules stand in for them: a complete SYNC frame, which no
application understands, resets a chip that is not in a loader into the ROM's loader; and when
the last program closes the port while a loader runs, the chip is reset and boots.

The board has no clock and opens nothing: bytes and times (ms) come in as arguments, and what
it wants done is collected as effects, which `take` hands over.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from evtool.protocol import app_image, host_image, slip
from evtool.protocol.esp_loader import Request, decode_request, is_sync
from evtool.virtual.board_nvs import application_lines, identity, storage_name, store_value
from evtool.virtual.boot import BootResult, ResetCause, boot
from evtool.virtual.effects import (
    AppInput,
    Discard,
    Effect,
    Report,
    StartApp,
    StopApp,
    Transmit,
)
from evtool.virtual.esp32_loader import Loader, Next, Reply
from evtool.virtual.esp32_registers import Registers
from evtool.virtual.esp32_rom import RomLoader
from evtool.virtual.esp32_stub import StubLoader
from evtool.virtual.flash_chip import FlashChip

BOOT_MS = 50
_RETRY_MS = 500
_RETRY_MAX_MS = 8_000
# An application that ran this long has started properly; its next crash restarts at once.
_STABLE_MS = 10_000
# A SYNC frame takes 46 bytes with both delimiters; a longer one is something else.
_SYNC_LENGTH = 64


class Mode(Enum):
    """What the processor is doing."""

    HELD = "held"
    BOOTING = "booting"
    APP = "app"
    HALTED = "halted"
    ROM = "rom"
    STUB = "stub"
    LOST = "lost"


class Board:
    """One board.

    Args:
        flash: its flash chip.
        mac: its MAC address, 6 bytes.
        random_bytes: so many random bytes; the board has no source of chance of its own.
    """

    def __init__(self, flash: FlashChip, mac: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self.flash = flash
        self._random_bytes = random_bytes
        self.mode = Mode.HELD
        self._mac = mac
        self._registers = Registers(flash, mac)
        self._effects: list[Effect] = []
        self._deadline_ms: int | None = None
        self._loader: Loader | None = None
        self._decoder = slip.Decoder()
        self._held_back = bytearray()
        self._lines = (False, False)
        self._in_reset = False
        self._cause = ResetCause.POWER_ON
        self._retry_ms = _RETRY_MS
        self._app_started_ms = 0
        self._boot: BootResult | None = None
        self._last_failure: str | None = None
        self._told_mode = Mode.HELD

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
            "mac": self._mac.hex(":"),
            "reset": self._cause.reason,
            "flash_size": self.flash.size,
        }
        if self._boot is not None and self._boot.partition is not None:
            status["partition"] = self._boot.partition.name
        if self._last_failure is not None:
            status["failure"] = self._last_failure
        return status

    def power_on(self, now_ms: int) -> None:
        """Power comes on, or comes back."""
        self.reset(ResetCause.POWER_ON, now_ms)

    def press_reset(self, now_ms: int) -> None:
        """The reset button. The ESP32 reports it as a power-on reset."""
        self.reset(ResetCause.POWER_ON, now_ms)

    def reset(self, cause: ResetCause, now_ms: int) -> None:
        """Reset and boot from flash."""
        if cause is ResetCause.POWER_ON:
            self._retry_ms = _RETRY_MS
            self._last_failure = None
            self._report("reset", reason=cause.reason)
        self._stop_everything()
        self._cause = cause
        self._send_text(cause.banner(download=False).encode())
        self._enter(Mode.BOOTING)
        self._deadline_ms = now_ms + BOOT_MS

    def on_lines(self, dtr: bool, rts: bool, now_ms: int) -> None:
        """The state of DTR and RTS, through the two transistors of a development board.

        RTS alone pulls the reset line low, DTR alone the strapping pin that selects the
        loader. With both, neither is low: the capacitor on the reset line bridges the moment
        that a host needs to get from one to the other, so a chip that was held stays held.
        """
        self._lines = (dtr, rts)
        if rts and not dtr:
            if not self._in_reset:
                self._stop_everything()
                self._enter(Mode.HELD)
            self._in_reset = True
        elif self._in_reset and not (dtr and rts):
            self._in_reset = False
            if dtr:
                self._cause = ResetCause.POWER_ON
                self._send_text(self._cause.banner(download=True).encode())
                self._enter_rom()
            else:
                self.reset(ResetCause.POWER_ON, now_ms)

    def on_last_close(self, now_ms: int) -> None:
        """Nobody has the serial port open any more (pseudo-terminals only)."""
        if self.mode in {Mode.ROM, Mode.STUB, Mode.LOST}:
            self.reset(ResetCause.POWER_ON, now_ms)

    def on_baudrate(self, baudrate: int) -> None:
        """The host's rate, which the chip follows."""
        self._registers.set_baudrate(baudrate)

    def on_serial(self, data: bytes, now_ms: int) -> None:
        """Bytes from the host."""
        while data:
            if self._loader is not None:
                # The loader may end with any frame; what follows belongs to what runs then.
                end = data.find(slip.END) + 1 or len(data)
                self._feed_loader(self._loader, data[:end], now_ms)
            elif self.mode is Mode.HELD:
                return
            else:
                end = self._feed_application(data, now_ms)
            data = data[end:]

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
        problem = store_value(self.flash, self._boot.partitions, key, value)
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
            self._retry_ms = _RETRY_MS
        if return_code == 0:
            self._cause = ResetCause.SOFTWARE
        else:
            self._cause = ResetCause.PANIC
            self._send_text(
                f"\r\nGuru Meditation Error: Core  1 panic'ed ({how}). "
                "Exception was unhandled.\r\n\r\nRebooting...\r\n".encode("ascii", "replace")
            )
            self._report("panic", how=how, return_code=return_code)
        self._halt(self._cause, now_ms)

    def tick(self, now_ms: int) -> None:
        """Time has come to `now_ms`."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return
        self._deadline_ms = None
        if self.mode is Mode.BOOTING:
            self._boot_from_flash(now_ms)
        elif self.mode is Mode.HALTED:
            self.reset(self._cause, now_ms)

    # --- booting ------------------------------------------------------------------

    def _boot_from_flash(self, now_ms: int) -> None:
        result = boot(self.flash)
        self._boot = result
        self._send_text(result.text())
        if result.application is None or result.partition is None:
            self._fail(result.failure or "nothing to boot", result.next_cause, now_ms)
            return
        payload = host_image.payload(result.application)
        if payload is None:
            # A real chip runs it, a computer cannot; starting again would change nothing.
            reason = "this application is for the chip; build one with `evtool build --env host`"
            self._send_text(f"E virtual_board: {reason}\r\n".encode())
            self._fail(reason, self._cause, now_ms)
            self._deadline_ms = None
            return
        self._last_failure = None
        self._app_started_ms = now_ms
        fields: dict[str, object] = {"partition": result.partition.name}
        description = app_image.decode_description(result.application)
        version = ""
        if description is not None:
            version = description.version
            fields |= {"project": description.project_name, "version": version}
        start = StartApp(
            payload,
            application_lines(self.flash, result.partitions, self._cause.reason),
            identity(self.flash, result.partitions),
            version,
            storage_name(self.flash, result.partitions, self._random_bytes),
        )
        self._effects.append(start)
        self._enter(Mode.APP)
        self._report("app", reset=self._cause.reason, **fields)

    def _fail(self, failure: str, cause: ResetCause, now_ms: int) -> None:
        if failure != self._last_failure:
            self._last_failure = failure
            self._report("boot_failed", reason=failure)
        self._cause = cause
        self._halt(cause, now_ms)

    def _halt(self, cause: ResetCause, now_ms: int) -> None:
        """Start again after a while: longer each time, or a bad image would spin for ever."""
        self._stop_everything()
        self._cause = cause
        self._enter(Mode.HALTED)
        self._deadline_ms = now_ms + self._retry_ms
        self._retry_ms = min(2 * self._retry_ms, _RETRY_MAX_MS)

    def _stop_everything(self) -> None:
        if self.mode is Mode.APP:
            self._effects.append(StopApp())
        self._loader = None
        self._deadline_ms = None
        self._held_back.clear()
        self._decoder = slip.Decoder()

    def _enter(self, mode: Mode) -> None:
        self.mode = mode
        # A chip with nothing to boot goes round in circles: that is said once.
        if mode is not Mode.BOOTING and mode is not self._told_mode:
            self._told_mode = mode
            self._report("mode", mode=mode.value)

    # --- the serial line ----------------------------------------------------------

    def _feed_application(self, data: bytes, now_ms: int) -> int:
        """Look for a SYNC frame in what else would be typing; gives the bytes taken."""
        if not self._held_back:
            start = data.find(slip.END)
            if start < 0:
                self._type(data)
                return len(data)
            self._type(data[:start])
            self._held_back.append(slip.END)
            return start + 1
        end = data.find(slip.END)
        taken = len(data) if end < 0 else end
        self._held_back += data[:taken]
        if len(self._held_back) > _SYNC_LENGTH:
            self._type(bytes(self._held_back))
            self._held_back.clear()
            return taken
        if end < 0:
            return taken
        frames = slip.Decoder().feed(bytes(self._held_back) + b"\xc0")
        if frames and isinstance(frames[0], bytes) and is_sync(frames[0]):
            self._effects.append(Discard())
            self._stop_everything()
            self._cause = ResetCause.POWER_ON
            self._enter_rom()
            self.on_serial(slip.encode(frames[0]), now_ms)
            return end + 1
        # Not a SYNC; this END may be the first byte of one.
        self._type(bytes(self._held_back))
        self._held_back[:] = b"\xc0"
        return end + 1

    def _type(self, data: bytes) -> None:
        if data and self.mode is Mode.APP:
            self._effects.append(AppInput(data))

    def _enter_rom(self) -> None:
        self._loader = RomLoader(self.flash, self._registers)
        self._decoder = slip.Decoder()
        self._deadline_ms = None
        self._retry_ms = _RETRY_MS
        self._enter(Mode.ROM)

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
            self._answer(reply, now_ms)

    def _answer(self, reply: Reply, now_ms: int) -> None:
        wire = b"".join(slip.encode(frame) for frame in reply.frames)
        if wire:
            self._effects.append(Transmit(wire, discardable=False))
        match reply.then:
            case Next.STAY:
                return
            case Next.BOOT:
                self.reset(ResetCause.SOFTWARE, now_ms)
            case Next.ROM:
                self._enter_rom()
            case Next.STUB:
                stub = StubLoader(self.flash, self._registers)
                self._loader = stub
                greeting = slip.encode(stub.greeting())
                self._effects.append(Transmit(greeting, discardable=False))
                self._enter(Mode.STUB)
            case Next.UNKNOWN_CODE:
                self._loader = None
                self._enter(Mode.LOST)

    def _send_text(self, data: bytes) -> None:
        if data:
            self._effects.append(Transmit(data, discardable=True))

    def _report(self, event: str, **fields: object) -> None:
        self._effects.append(Report(event, fields))
