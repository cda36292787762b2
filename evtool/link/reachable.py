# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server can be reached at all, answered within a time limit.

Looking a name up has no time limit of its own, so each host is tried in a thread that is
left behind when the time is up.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

_HTTPS = 443


def any_reachable(
    hosts: Sequence[str],
    *,
    timeout_s: float,
    port: int = _HTTPS,
    proxies: Mapping[str, str] | None = None,
) -> bool:
    """Whether one of `hosts` takes a connection, through the HTTPS proxy where one is set.

    Args:
        proxies: scheme to URL; None takes them from the environment.
    """
    proxy = (urllib.request.getproxies() if proxies is None else proxies).get("https")
    deadline = time.monotonic() + timeout_s
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for host in hosts:
        threading.Thread(
            target=lambda host=host: answers.put(_connects(host, port, proxy, deadline)),
            daemon=True,
        ).start()
    with contextlib.suppress(queue.Empty):
        for _ in hosts:
            if answers.get(timeout=max(0.0, deadline - time.monotonic())):
                return True
    return False


def _connects(host: str, port: int, proxy: str | None, deadline: float) -> bool:
    try:
        if proxy is None:
            with socket.create_connection((host, port), timeout=_left(deadline)):
                return True
        return _proxy_connects(host, port, proxy, deadline)
    except (OSError, ValueError):
        return False


def _proxy_connects(host: str, port: int, proxy: str, deadline: float) -> bool:
    """Whether the proxy agrees to a tunnel; one that refuses the host is a closed door too."""
    address = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    if address.hostname is None:
        return False
    if address.scheme.startswith("socks") or address.username:
        # A tunnel cannot be asked for in one line: that the proxy is there must do.
        request = b""
    else:
        request = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode("ascii")
    with socket.create_connection(
        (address.hostname, address.port or 8080), timeout=_left(deadline)
    ) as line:
        if not request:
            return True
        line.sendall(request)
        line.settimeout(_left(deadline))
        answer = line.recv(64)
    return answer.startswith(b"HTTP/1.") and answer[8:13].strip().startswith(b"200")


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())
