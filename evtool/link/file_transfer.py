# SPDX-License-Identifier: GPL-3.0-or-later
"""Files from and to HTTP(S) and FTP(S) servers, as firmware updates and log uploads need them.

Blocking and bounded: in size, in the time without a byte, and in the time altogether. A URL may
hold a user and a password; no message repeats them.
"""

from __future__ import annotations

import base64
import ftplib
import hashlib
import http.client
import io
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from evtool.errors import DeviceError, EvtoolError, LinkTimeout
from evtool.link.clock import monotonic_ms
from evtool.link.files import replacing
from evtool.link.transfer_watch import TransferWatch

_BLOCK = 1 << 16
SCHEMES = ("http", "https", "ftp", "ftps")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a transfer may take.

    Attributes:
        max_bytes: a longer file is refused.
        idle_s: the longest time without a byte.
        total_s: the longest time altogether.
        ca_pem: the roots to trust for TLS, as PEM; "" trusts the system's.
        cancelled: set from another thread, it ends the transfer at the next block.
    """

    max_bytes: int = 64 << 20
    idle_s: float = 20.0
    total_s: float = 600.0
    ca_pem: str = field(default="", repr=False)
    cancelled: threading.Event = field(default_factory=threading.Event)


class TransferRefused(DeviceError):
    """The server will not have it, or the URL cannot be used: trying again does not help.

    Attributes:
        kind: "denied" (credentials), "unsupported" (the URL's scheme), "bad" (the URL itself).
    """

    def __init__(self, message: str, kind: Literal["denied", "unsupported", "bad"]) -> None:
        super().__init__(message, fix="check the URL, its user and its password")
        self.kind = kind


def shown_url(url: str) -> str:
    """The URL as a log may show it: without user, password and query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "(no URL)"
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))


def upload_url(location: str, file_name: str) -> str:
    """Where a file goes: into the location, unless that names a file or has a query."""
    parts = urlsplit(location)
    last = parts.path.rpartition("/")[2]
    if parts.query or "." in last:
        return location
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{file_name}"))


def download(url: str, path: Path, bounds: Bounds) -> bytes:
    """Fetch a file and put it at `path`, whole or not at all, mode 0600.

    Returns:
        The SHA-256 of its content.

    Raises:
        TransferRefused: see there.
        LinkTimeout: the server is too slow.
        DeviceError: no server, no such file, too long, cancelled.
        EvtoolError: the file cannot be written.
    """
    parts = _parse(url)
    digest = hashlib.sha256()
    try:
        with replacing(path, 0o600) as file, _watched(url, bounds) as watch:
            budget = _Budget(url, bounds)
            for block in _blocks(parts, bounds, watch):
                budget.spend(len(block))
                digest.update(block)
                file.write(block)
    except OSError as error:
        raise EvtoolError(
            f"cannot write {path}: {error.strerror or error}",
            fix="check free space and permissions of the folder",
        ) from error
    return digest.digest()


def upload(url: str, content: bytes, bounds: Bounds) -> None:
    """Store `content` at the server: STOR for FTP, PUT for HTTP.

    Raises:
        TransferRefused: see there.
        LinkTimeout: the server is too slow.
        DeviceError: no server, it refuses, too long, cancelled.
    """
    parts = _parse(url)
    source = _Metered(content, _Budget(url, bounds))
    with _watched(url, bounds) as watch:
        if parts.scheme in ("ftp", "ftps"):
            with _ftp(parts, bounds, watch) as server:
                server.storbinary(f"STOR {_ftp_path(parts)}", source, _BLOCK)
            return
        request = _request(parts, "PUT")
        request.data = source
        request.add_header("Content-Length", str(len(content)))
        request.add_header("Content-Type", "application/octet-stream")
        with _opener(bounds, watch).open(request, timeout=bounds.idle_s) as response:
            response.read(_BLOCK)


class _Budget:
    """Counts bytes and time; raises when a bound is passed."""

    def __init__(self, url: str, bounds: Bounds) -> None:
        self._bounds = bounds
        self._url = url
        self._left = bounds.max_bytes
        self._end_ms = monotonic_ms() + round(bounds.total_s * 1000)

    def spend(self, count: int) -> None:
        """`count` further bytes have passed."""
        self._left -= count
        if self._bounds.cancelled.is_set():
            raise DeviceError(f"{shown_url(self._url)}: given up")
        if self._left < 0:
            raise DeviceError(
                f"{shown_url(self._url)}: longer than {self._bounds.max_bytes} bytes",
                fix="offer a smaller file",
            )
        if monotonic_ms() > self._end_ms:
            raise _too_slow(self._url, self._bounds)


class _Metered(io.BytesIO):
    """Content that is counted as it is read."""

    def __init__(self, content: bytes, budget: _Budget) -> None:
        super().__init__(content)
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(min(size, _BLOCK) if size is not None and size > 0 else _BLOCK)
        self._budget.spend(len(block))
        return block


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, never out of TLS, and takes no credentials along."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise urllib.error.HTTPError(shown_url(newurl), code, "redirect", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise TransferRefused(f"no URL: {shown_url(url)}", "bad") from error
    if parts.scheme not in SCHEMES:
        scheme = parts.scheme[:20] or "no scheme"
        raise TransferRefused(f"{scheme}: only {', '.join(SCHEMES)} are known", "unsupported")
    if not parts.hostname or any(character < " " for character in unquote(parts.path)):
        raise TransferRefused(f"{shown_url(url)}: no host, or no path", "bad")
    return parts


def _too_slow(url: str, bounds: Bounds) -> LinkTimeout:
    return LinkTimeout(
        f"{shown_url(url)} took longer than {bounds.total_s:g} s", fix="check the network"
    )


@contextmanager
def _watched(url: str, bounds: Bounds) -> Iterator[TransferWatch]:
    """A watch on the transfer, and what its end and the libraries' errors mean.

    A transfer that was cut off has failed even where the libraries saw none: for http.client a
    line that ends in the middle of the headers is the end of the headers.
    """
    watch = TransferWatch(bounds.total_s, bounds.cancelled)
    failure: DeviceError | None = None
    try:
        with _translated(url), watch:
            yield watch
    except DeviceError as error:
        failure = error
    if watch.is_over and not isinstance(failure, LinkTimeout):
        raise _too_slow(url, bounds)
    if bounds.cancelled.is_set():
        raise DeviceError(f"{shown_url(url)}: given up")
    if failure is not None:
        raise failure


def _blocks(parts: SplitResult, bounds: Bounds, watch: TransferWatch) -> Iterator[bytes]:
    if parts.scheme in ("ftp", "ftps"):
        with _ftp(parts, bounds, watch) as server:
            server.voidcmd("TYPE I")
            connection = server.transfercmd(f"RETR {_ftp_path(parts)}")
            watch.add(lambda: connection)
            with connection:
                while block := connection.recv(_BLOCK):
                    yield block
            server.voidresp()
        return
    request = _request(parts, "GET")
    with _opener(bounds, watch).open(request, timeout=bounds.idle_s) as response:
        left: int | None = response.length
        # Not `read`: that waits for a whole block, however slowly its bytes come.
        while left != 0 and (
            block := response.read1(_BLOCK if left is None else min(left, _BLOCK))
        ):
            left = None if left is None else left - len(block)
            yield block
        if left:  # the server has closed in the middle
            raise http.client.IncompleteRead(b"", left)


@contextmanager
def _ftp(parts: SplitResult, bounds: Bounds, watch: TransferWatch) -> Iterator[ftplib.FTP]:
    server = (
        ftplib.FTP_TLS(context=_tls(bounds), timeout=bounds.idle_s)  # noqa: S321 - what OCPP names
        if parts.scheme == "ftps"
        else ftplib.FTP(timeout=bounds.idle_s)  # noqa: S321 - what OCPP names
    )
    watch.add(lambda: server.sock)
    with server:
        server.connect(parts.hostname or "", parts.port or 0)
        server.login(unquote(parts.username or "anonymous"), unquote(parts.password or ""))
        if isinstance(server, ftplib.FTP_TLS):
            server.prot_p()
        yield server


def _ftp_path(parts: SplitResult) -> str:
    # RFC 1738: the path begins after the slash, in the folder of the login.
    return unquote(parts.path).removeprefix("/")


def _request(parts: SplitResult, method: str) -> urllib.request.Request:
    host = parts.hostname or ""
    netloc = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
    url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
    request = urllib.request.Request(url, method=method)  # noqa: S310 - `_parse` knows the scheme
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        value = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        request.add_unredirected_header("Authorization", value)
    return request


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, watch: TransferWatch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PlainConnection, self._watch), req)


class _TlsHandler(urllib.request.HTTPSHandler):
    def __init__(self, watch: TransferWatch, tls: ssl.SSLContext) -> None:
        super().__init__(context=tls)
        self._watch, self._tls = watch, tls

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TlsConnection, self._watch, self._tls), req)


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, watch: TransferWatch, host: str, **more: Any) -> None:
        super().__init__(host, **more)
        watch.add(lambda: self.sock)


class _TlsConnection(_PlainConnection):
    default_port = http.client.HTTPS_PORT

    def __init__(self, watch: TransferWatch, tls: ssl.SSLContext, host: str, **more: Any) -> None:
        super().__init__(watch, host, **more)
        self._tls = tls

    def connect(self) -> None:
        super().connect()
        self.sock = wrapped = self._tls.wrap_socket(
            self.sock, server_hostname=self.host, do_handshake_on_connect=False
        )
        wrapped.do_handshake()  # under the watch


def _opener(bounds: Bounds, watch: TransferWatch) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        _PlainHandler(watch),
        _TlsHandler(watch, _tls(bounds)),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _tls(bounds: Bounds) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=bounds.ca_pem or None)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """What the libraries raise becomes a DeviceError that shows no credentials."""
    shown = shown_url(url)
    try:
        yield
    except TimeoutError as error:
        raise LinkTimeout(f"{shown} does not answer", fix="check the host and the port") from error
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise TransferRefused(f"{shown}: HTTP {error.code}", "denied") from None
        raise DeviceError(f"{shown}: HTTP {error.code}", fix="look at the server's log") from None
    except ftplib.error_perm as error:
        # Its text is the server's, which may repeat what it was told.
        code = str(error)[:3]
        if code in ("530", "532"):
            raise TransferRefused(f"{shown}: FTP {code}", "denied") from None
        raise DeviceError(f"{shown}: FTP {code}", fix="look at the server's log") from None
    except (ftplib.Error, http.client.HTTPException, ssl.SSLError, EOFError) as error:
        raise DeviceError(
            f"{shown}: {type(error).__name__}", fix="look at the server's log"
        ) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise LinkTimeout(f"{shown} does not answer", fix="check the host") from None
        raise DeviceError(
            f"{shown}: {_cause(error.reason)}", fix="check the host, the port and the network"
        ) from None
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"{shown}: {_cause(error)}", fix="check the host, the port and the network"
        ) from None


def _cause(error: object) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else "no such host"
    return type(error).__name__
