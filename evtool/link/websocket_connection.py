# SPDX-License-Identifier: GPL-3.0-or-later
"""One WebSocket connection, either end, on the `picows` package: text messages and pings.

Nothing of a peer costs unbounded memory or waits for ever: messages have a limit, reading
pauses while what came is not fetched, and a peer that neither reads nor answers a ping is cut
off. There is no compression: it would cost more memory than all the rest of a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
)

from evtool.errors import DeviceError

MAX_MESSAGE = 1 << 20
PING_INTERVAL_S = 20.0

_PONG_TIMEOUT_S = 20.0
_CLOSE_TIMEOUT_S = 5.0
_SEND_TIMEOUT_S = 20.0
_LATE_S = 0.05
_MAX_WAITING_TEXTS = 64
_MAX_WAITING_CHARACTERS = 1 << 18
_MAX_UNSENT = 4 << 20

_TEXT, _BINARY, _PART = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION


class WebSocket(WSListener):
    """An open connection. After it has closed, everything but `close` raises DeviceError.

    Texts are either fetched with `recv`, or handed to a function (`listen`).

    Args:
        peer: what error messages call the far end.
        ping_interval_s: seconds between pings; 0 sends none.
        on_open: called once, when the connection is open.
    """

    __slots__ = (
        "_due_s", "_end", "_extended", "_heard", "_is_aborted", "_is_read_paused", "_on_closed",
        "_on_open", "_on_text", "_parts", "_parts_size", "_peer", "_ping_interval_s", "_pinged",
        "_reason", "_texts", "_texts_size", "_timer", "_transport", "_waiter", "_writable",
    )  # fmt: skip

    def __init__(
        self,
        peer: str,
        *,
        ping_interval_s: float = PING_INTERVAL_S,
        on_open: Callable[[WebSocket], None] | None = None,
    ) -> None:
        super().__init__()
        self._peer = peer
        self._ping_interval_s = ping_interval_s
        self._on_open = on_open
        self._transport: WSTransport | None = None
        self._reason: str | None = None
        self._on_text: Callable[[str], None] | None = None
        self._on_closed: Callable[[DeviceError], None] | None = None
        self._texts: deque[str] | None = None
        self._texts_size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._is_aborted = False
        self._is_read_paused = False
        self._writable: asyncio.Event | None = None
        self._parts: list[bytes] | None = None
        self._parts_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._extended = False
        self._heard = False
        self._pinged = False
        self._end: asyncio.Task[None] | None = None

    async def recv(self) -> str:
        """The next text. Bytes are no OCPP message; they come as the text they might be."""
        while not self._texts:
            self._require_open()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        text = self._texts.popleft()
        self._texts_size -= len(text)
        if self._is_read_paused and not self._has_enough:
            self._resume_reading()
        return text

    def listen(
        self, on_text: Callable[[str], None], on_closed: Callable[[DeviceError], None]
    ) -> None:
        """Have every text handed to `on_text` from now on, also those that wait already.

        Args:
            on_text: must neither block nor raise.
            on_closed: called once, with why the connection has closed.
        """
        self._on_text = on_text
        self._on_closed = on_closed
        waiting, self._texts = self._texts or (), None
        for text in waiting:
            on_text(text)
        self._resume_reading()
        if self._transport is None or self._transport.is_disconnected:
            on_closed(self._closed())

    async def send(self, text: str) -> None:
        """Send a text; waits while the peer does not read, 20 s at most."""
        self.send_now(text)
        if self._writable is None:
            return
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await self._writable.wait()
        except TimeoutError:
            self._cut_off("it does not read")
        self._require_open()

    def send_now(self, text: str) -> None:
        """Send a text without waiting; a peer that lets 4 MB pile up is cut off."""
        transport = self._require_open()
        unsent = transport.underlying_transport.get_write_buffer_size
        if self._writable is not None and unsent() > _MAX_UNSENT:
            self._cut_off("it does not read")
            raise self._closed()
        transport.send(_TEXT, text)

    def send_raw(self, data: bytes) -> None:
        """Put bytes on the line as they are, for faults on purpose: frames too are up to you."""
        self._require_open().underlying_transport.write(data)

    async def close(self, code: int = WSCloseCode.OK.value, reason: str = "") -> None:
        """Say goodbye; twice does no harm."""
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return
        if not self._is_aborted:
            transport.send_close(WSCloseCode(code), reason)
        self._texts = None
        self._resume_reading()  # the peer's goodbye would not come through
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await _wait_disconnected(transport)
        finally:
            self.abort()

    def abort(self) -> None:
        """Drop the connection without a word, as a power cut does; also one not open yet."""
        self._is_aborted = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def set_ping_interval(self, seconds: float) -> None:
        """Send a ping every so many seconds (WebSocketPingInterval); 0 sends none.

        A peer that sends nothing for 20 s after one, or for the interval where that is
        shorter, is cut off; once more so long where this process was busy when it ended.
        """
        self._ping_interval_s = seconds
        self._pinged = False
        self._rewind(seconds)

    @property
    def is_open(self) -> bool:
        """Whether it has opened, and neither end has closed it."""
        transport = self._transport
        return not (
            transport is None
            or self._is_aborted
            or transport.is_disconnected
            or transport.is_close_frame_sent
            # A line that broke: what it brought before is still being read, with nobody to answer.
            or transport.underlying_transport.is_closing()
        )

    @property
    def peer_certificate(self) -> bytes | None:
        """What the far end has shown in TLS, in DER; None without TLS or certificate."""
        if self._transport is None:
            return None
        tls = self._transport.underlying_transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)

    # What `picows` calls.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """It is open."""
        self._transport = transport
        transport.request.headers.clear()  # the password among them
        transport.response.headers.clear()
        if self._is_aborted:
            self.abort()
            return
        self.set_ping_interval(self._ping_interval_s)
        if self._on_open is not None:
            self._on_open(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come."""
        self._heard = True
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "no extension was agreed on")
        if kind == _TEXT and frame.fin and self._parts is None:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError as error:
                raise WSProtocolError(WSCloseCode.INVALID_TEXT, "no UTF-8") from error
            self._deliver(text)
        elif kind in (_TEXT, _BINARY, _PART):
            self._collect(kind, frame)
        elif kind == WSMsgType.PING:
            # Who floods us with pings and does not read gets no more.
            if self._writable is None and self.is_open:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            self._on_goodbye(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is over."""
        if transport.is_client_side and transport.close_handshake is not None:
            # What was wrong on the wire waits there, and asyncio complains where no one looks.
            loop = asyncio.get_running_loop()
            self._end = loop.create_task(_wait_disconnected(transport))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._writable is not None:
            self._writable.set()
        if self._on_closed is not None:
            self._on_closed(self._closed())

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # Texts

    def _collect(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A message in bytes, or in parts."""
        if (kind == _PART) != (self._parts is not None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "parts of messages out of order")
        if self._parts is None:
            self._parts, self._parts_size = [], 0
        self._parts.append(frame.get_payload_as_bytes())
        self._parts_size += frame.payload_size + 64  # empty parts cost memory too
        if self._parts_size > MAX_MESSAGE:
            self._parts = None
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, f"more than {MAX_MESSAGE} bytes")
        if frame.fin:
            whole, self._parts = b"".join(self._parts), None
            self._deliver(whole.decode(errors="replace"))

    def _deliver(self, text: str) -> None:
        if self._on_text is not None:
            try:
                self._on_text(text)
            except Exception as error:
                self._tell_bug("what listens to a WebSocket failed", error)
                raise
            return
        if self._texts is None:
            self._texts = deque()
        self._texts.append(text)
        self._texts_size += len(text)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._has_enough and not self._is_read_paused and self._transport is not None:
            self._is_read_paused = True
            self._transport.underlying_transport.pause_reading()

    @property
    def _has_enough(self) -> bool:
        return self._texts is not None and (
            len(self._texts) >= _MAX_WAITING_TEXTS or self._texts_size > _MAX_WAITING_CHARACTERS
        )

    def _resume_reading(self) -> None:
        if self._is_read_paused and self._transport is not None:
            self._is_read_paused = False
            self._transport.underlying_transport.resume_reading()

    # Pings

    def _rewind(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds > 0 and self._transport is not None and not self._transport.is_disconnected:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_time)
            self._due_s = self._timer.when()

    def _is_late(self) -> bool:
        """Whether this process was busy when the time came: its peer's answer may wait here."""
        return asyncio.get_running_loop().time() - self._due_s > _LATE_S

    def _on_time(self) -> None:
        """Ping and pong alternate: a ping, then the time for an answer, then the rest."""
        self._timer = None
        answer_s = min(_PONG_TIMEOUT_S, self._ping_interval_s)
        # While we do not read, no answer is no one's fault but ours.
        if self._pinged and not self._heard and not self._is_read_paused:
            if not self._extended and self._is_late():
                self._extended = True
                self._rewind(answer_s)
            else:
                self._cut_off("it does not answer a ping")
            return
        rest_s = self._ping_interval_s - answer_s
        if self._pinged and rest_s > 0:
            self._pinged = False
            self._rewind(rest_s)
            return
        self._pinged, self._heard, self._extended = True, False, False
        if self._transport is not None and self._writable is None:
            self._transport.send_ping()
        self._rewind(answer_s)

    # The end

    def _on_goodbye(self, transport: WSTransport, frame: WSFrame) -> None:
        code, reason = frame.get_close_code(), frame.get_close_reason() or ""
        number = code.value if isinstance(code, WSCloseCode) else int(code)
        self._reason = f"the peer closed it: {number} {reason}".rstrip()
        transport.send_close(WSCloseCode.OK if number == 0 else code)
        if transport.is_client_side:  # the server hangs up first (RFC 6455, 7.1.1)
            asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT_S, self.abort)
        else:
            transport.disconnect()

    def _cut_off(self, reason: str) -> None:
        self._reason = reason
        self.abort()

    def _require_open(self) -> WSTransport:
        transport = self._transport
        if transport is None or not self.is_open:
            raise self._closed()
        return transport

    def _closed(self) -> DeviceError:
        reason = self._reason
        handshake = self._transport.close_handshake if self._transport is not None else None
        if handshake is not None and handshake.sent is not None and reason is None:
            reason = f"we closed it: {handshake.sent.reason}".removesuffix(": ")
        return DeviceError(
            f"{self._peer}: the connection has closed ({reason or 'without a goodbye'})"
        )

    def _tell_bug(self, what: str, error: Exception) -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": what, "exception": error})


async def _wait_disconnected(transport: WSTransport) -> None:
    with contextlib.suppress(Exception):  # what was wrong on the wire; it is over anyway
        await transport.wait_disconnected()
