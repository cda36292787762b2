# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSMS's address: endpoint + `/` + identity, appended once (OCPP-J 1.6, 3.1.1).

The twin of `firmware/lib/evidentity/src/url.cpp`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

DEFAULT_PORT = {False: 80, True: 443}

_URL = re.compile(
    r"(?P<scheme>wss?)://(?:\[(?P<literal>[^\[\]/]+)\]|(?P<host>[^:/\[\]]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?\Z",
    re.IGNORECASE,
)
_RULE = "must be ws://host[:port][/path] or wss://host[:port][/path]"


@dataclass(frozen=True, slots=True)
class CsmsUrl:
    """The parts of an endpoint.

    Attributes:
        tls: `wss`.
        host: a name or address; an IPv6 address without its brackets.
        port: the one given, else 80 or 443.
        path: begins with `/`.
    """

    tls: bool
    host: str
    port: int
    path: str


def parse_csms_url(text: str) -> CsmsUrl:
    """The parts of `text`.

    Raises:
        ValueError: it is no WebSocket URL, or it holds user information, a fragment, a blank
            or anything but printable ASCII. The message does not repeat the URL.
    """
    if "@" in text:
        raise ValueError(f"{_RULE}; a user name or password does not belong in it")
    if any(not "!" <= character <= "~" for character in text) or "#" in text:
        raise ValueError(f"{_RULE}, printable ASCII without blanks or #")
    found = _URL.match(text)
    if found is None:
        raise ValueError(_RULE)
    tls = found["scheme"].lower() == "wss"
    port = int(found["port"]) if found["port"] else DEFAULT_PORT[tls]
    if not 1 <= port <= 65535:
        raise ValueError(f"{_RULE}, with a port of 1 to 65535")
    return CsmsUrl(tls, found["host"] or found["literal"], port, found["path"] or "/")


def masked_url(url: str) -> str:
    """`url` as a log or a terminal may show it: a query may hold a token."""
    endpoint, mark, _ = url.partition("?")
    return f"{endpoint}?****" if mark else url


def endpoint_url(text: str, identity: str) -> str:
    """`text` without trailing slashes, and without the identity if it ends in it."""
    endpoint = text.rstrip("/")
    segment = "/" + quote(identity, safe="")
    if endpoint.endswith(segment) and not endpoint.removesuffix(segment).endswith("/"):
        endpoint = endpoint.removesuffix(segment)
    return endpoint


def charge_point_url(text: str, identity: str) -> str:
    """The URL that the charge point opens: the percent-encoded identity appended once."""
    return f"{endpoint_url(text, identity)}/{quote(identity, safe='')}"
