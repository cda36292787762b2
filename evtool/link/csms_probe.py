# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries a connection to a central system step by step: DNS, TCP, TLS, HTTP, subprotocol.

It ends at the first step that fails; a WebSocket that opened is closed again at once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage, InvalidStatus, NegotiationError
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from evtool.errors import ConfigError
from evtool.protocol.connect_step import ConnectStep, Outcome
from evtool.protocol.csms_url import masked_url

_SILENT = logging.Logger("evtool.csms_probe", logging.CRITICAL + 1)  # it logs headers at DEBUG
_CHUNK = 65_536
_MOST_BYTES = 1 << 20
_CERTIFICATE_FAULTS: dict[int, Outcome] = {  # X509_V_ERR_*
    9: "not_yet_valid",
    10: "expired",
    18: "unknown_authority",
    19: "unknown_authority",
    20: "unknown_authority",
    21: "unknown_authority",
    62: "wrong_host",
    64: "wrong_host",
}
_CLIENT_CERTIFICATE_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_UNSUPPORTED_CERTIFICATE",
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What to try.

    Attributes:
        url: complete, with the identity.
        authorization: the header's value, never shown; None for none.
        ca: PEM of the only authorities to trust; None trusts the system's.
        client_certificate, client_key: files for security profile 3.
        timeout_s: for each step.
    """

    url: str
    host: str
    port: int
    subprotocol: str
    authorization: str | None
    ca: Path | None
    client_certificate: Path | None
    client_key: Path | None
    timeout_s: float


def tls_context(probe: Probe) -> ssl.SSLContext:
    """What the charge point would trust and show.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=probe.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A charge point does not insist on what only browsers insist on.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))
        if probe.client_certificate is not None:
            # An encrypted key must not make OpenSSL ask at the terminal.
            context.load_cert_chain(probe.client_certificate, probe.client_key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"the certificates cannot be used: {error}",
            fix="name PEM files: --ca, and for security profile 3 --client-certificate with its "
            "unencrypted --client-key",
        ) from error
    return context


def try_connection(probe: Probe, context: ssl.SSLContext | None) -> Iterator[ConnectStep]:
    """Each step as it has ended; `context` is for TLS."""
    addresses = yield from _resolve(probe)
    if not addresses:
        return
    line = yield from _connect(probe, addresses)
    if line is None:
        return
    with contextlib.closing(line):
        if context is not None:
            secured = yield from _secure(probe, line, context)
            if secured is None:
                return
            with contextlib.closing(secured):
                refused = _late_refusal(secured, probe.timeout_s)
                if refused is not None:
                    yield refused
                    return
                yield from _ask(probe, secured)
        else:
            yield from _ask(probe, line)


def _resolve(probe: Probe) -> Generator[ConnectStep, None, list[str]]:
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(probe.host, probe.port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    # Looking a name up has no time limit of its own: the thread is left behind.
    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=probe.timeout_s)
    except queue.Empty:
        yield ConnectStep("dns", "timed_out", f"{probe.host}: no answer in {probe.timeout_s:g} s")
        return []
    if isinstance(answer, OSError):
        yield ConnectStep("dns", "no_such_host", f"{probe.host}: {answer.strerror or answer}")
        return []
    yield ConnectStep("dns", "ok", f"{probe.host} is {', '.join(answer)}")
    return answer


def _connect(
    probe: Probe, addresses: list[str]
) -> Generator[ConnectStep, None, socket.socket | None]:
    deadline = time.monotonic() + probe.timeout_s
    failed = ConnectStep("tcp", "unreachable")
    for address in addresses:
        where = f"{address} port {probe.port}"
        try:
            line = socket.create_connection((address, probe.port), timeout=_left(deadline))
        except TimeoutError:
            failed = ConnectStep("tcp", "timed_out", f"{where}: no answer")
        except ConnectionRefusedError:
            failed = ConnectStep("tcp", "refused", where)
        except OSError as error:
            failed = ConnectStep("tcp", "unreachable", f"{where}: {error.strerror or error}")
        else:
            yield ConnectStep("tcp", "ok", where)
            return line
    yield failed
    return None


def _secure(
    probe: Probe, line: socket.socket, context: ssl.SSLContext
) -> Generator[ConnectStep, None, ssl.SSLSocket | None]:
    line.settimeout(probe.timeout_s)
    try:
        secured = context.wrap_socket(line, server_hostname=probe.host)
    except OSError as error:
        yield _tls_failure(error)
        return None
    cipher = secured.cipher()
    until = (secured.getpeercert() or {}).get("notAfter", "")
    yield ConnectStep(
        "tls",
        "ok",
        f"{secured.version()} {cipher[0] if cipher else ''}, certificate valid until {until}",
    )
    return secured


def _late_refusal(line: ssl.SSLSocket, timeout_s: float) -> ConnectStep | None:
    """What the server thinks of our certificate: with TLS 1.3 it says so after the handshake.

    It must be read before anything is sent: a server that has hung up answers that with a reset,
    in which its last word is lost. One that is content sends session tickets, or nothing.
    """
    if line.version() != "TLSv1.3" or not select.select([line], [], [], min(timeout_s, 0.5))[0]:
        return None
    line.settimeout(0)
    try:
        line.recv(1)  # tickets give no data; whoever speaks before it is asked speaks no HTTP
    except ssl.SSLWantReadError:
        pass
    except OSError as error:
        return _tls_failure(error)
    finally:
        line.settimeout(timeout_s)
    return None


def _tls_failure(error: OSError) -> ConnectStep:
    words = str(error)
    if isinstance(error, TimeoutError):
        return ConnectStep("tls", "timed_out", "no answer")
    if isinstance(error, ssl.SSLCertVerificationError):
        outcome = _CERTIFICATE_FAULTS.get(error.verify_code, "other_certificate_fault")
        return ConnectStep("tls", outcome, error.verify_message)
    reason = getattr(error, "reason", None) or ""
    if any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        return ConnectStep("tls", "client_certificate_refused", reason)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return ConnectStep("tls", "no_tls", reason)
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return ConnectStep("tls", "closed", words)
    return ConnectStep("tls", "other_tls_fault", reason or words)


def _ask(probe: Probe, line: socket.socket) -> Iterator[ConnectStep]:
    protocol = ClientProtocol(
        parse_uri(probe.url), subprotocols=[Subprotocol(probe.subprotocol)], logger=_SILENT
    )
    request = protocol.connect()
    if probe.authorization is not None:
        request.headers["Authorization"] = probe.authorization
    protocol.send_request(request)
    deadline = time.monotonic() + probe.timeout_s
    try:
        _exchange(line, protocol, deadline)
    except TimeoutError:
        yield ConnectStep("http", "timed_out", f"no answer in {probe.timeout_s:g} s")
        return
    except ssl.SSLError as error:  # TLS 1.3 says only now what it thinks of our certificate
        yield _tls_failure(error)
        return
    except OSError as error:
        yield ConnectStep("http", "closed", error.strerror or str(error))
        return
    yield from _answer(probe, protocol)
    with contextlib.suppress(OSError):
        if protocol.handshake_exc is None:
            protocol.send_close(1000)
            line.sendall(b"".join(protocol.data_to_send()))


def _exchange(line: socket.socket, protocol: ClientProtocol, deadline: float) -> None:
    line.settimeout(_left(deadline))
    line.sendall(b"".join(protocol.data_to_send()))
    received = 0
    while protocol.handshake_exc is None and not protocol.events_received():
        line.settimeout(_left(deadline))
        data = line.recv(_CHUNK)
        received += len(data)
        if data and received <= _MOST_BYTES:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
            return


def _answer(probe: Probe, protocol: ClientProtocol) -> Iterator[ConnectStep]:
    match protocol.handshake_exc:
        case None:
            yield ConnectStep("http", "ok", "101 Switching Protocols", 101)
            if protocol.subprotocol == probe.subprotocol:
                yield ConnectStep("subprotocol", "ok", probe.subprotocol)
            else:
                yield ConnectStep("subprotocol", "missing", f"{probe.subprotocol} was offered")
        case InvalidStatus(response=Response(status_code=status, reason_phrase=reason)) as error:
            location = masked_url(error.response.headers.get("Location", ""))
            detail = " ".join(each for each in (str(status), reason, location) if each)
            yield ConnectStep("http", "status", ascii(detail)[1:-1], status)
        case NegotiationError() as error:
            yield ConnectStep("http", "ok", "101 Switching Protocols", 101)
            yield ConnectStep("subprotocol", "another", ascii(str(error))[1:-1])
        case InvalidMessage(__cause__=EOFError()):
            yield ConnectStep("http", "closed", "the connection was closed")
        case InvalidMessage():
            yield ConnectStep("http", "no_http", "the answer is no HTTP")
        case error:
            yield ConnectStep("http", "bad_upgrade", ascii(str(error))[1:-1][:200])


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())
