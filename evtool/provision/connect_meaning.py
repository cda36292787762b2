# SPDX-License-Identifier: GPL-3.0-or-later
"""What each step of a connection means, and what to do where it failed."""

from __future__ import annotations

from evtool.protocol.connect_step import ConnectStep

_GOOD = {
    "dns": "the name is known",
    "tcp": "somebody listens there",
    "tls": "the central system proved who it is",
    "http": "the central system takes this charge point",
    "subprotocol": "both speak OCPP 1.6J",
}

_BAD: dict[tuple[str, str], tuple[str, str]] = {
    ("dns", "no_such_host"): (
        "no name server knows the host",
        "check the spelling, and which name server the charge point's network has",
    ),
    ("dns", "timed_out"): (
        "no name server answers",
        "check this computer's network; the charge point needs a name server too",
    ),
    ("tcp", "refused"): (
        "the host is there, and nobody listens at this port",
        "check the port; ws:// means 80 and wss:// 443 where the URL names none",
    ),
    ("tcp", "timed_out"): (
        "nobody answers: a firewall drops it, or the host is down",
        "let the port through the firewall, or check the address",
    ),
    ("tcp", "unreachable"): (
        "there is no way to the host",
        "check the network, the VPN or the APN that leads to it",
    ),
    ("tls", "no_tls"): (
        "what answers there speaks no TLS",
        "use ws:// and security profile 1, or the port at which the central system has TLS",
    ),
    ("tls", "unknown_authority"): (
        "another authority issued the central system's certificate, or it sends no intermediate",
        "give the root that issued it with --ca; the central system must send its intermediates",
    ),
    ("tls", "expired"): (
        "a certificate of the central system has expired",
        "the central system's operator must renew it (or this computer's clock is wrong)",
    ),
    ("tls", "not_yet_valid"): (
        "a certificate of the central system is not valid yet",
        "check the clock: a charge point without the right time fails in the same way",
    ),
    ("tls", "wrong_host"): (
        "the certificate is for another host",
        "use the name that stands in the certificate, or have it issued for this one",
    ),
    ("tls", "client_certificate_refused"): (
        "the central system wants a client certificate, or refuses this one",
        "security profile 3: --client-certificate and --client-key, of an authority that the "
        "central system trusts",
    ),
    ("tls", "other_certificate_fault"): (
        "the central system's certificate cannot be verified",
        "look at the certificate; the fault is named above",
    ),
    ("tls", "other_tls_fault"): (
        "the two found no common TLS",
        "TLS 1.2 or newer with ECDHE and AES-GCM is required (white paper, A00.FR.312, 318)",
    ),
    ("tls", "timed_out"): (
        "the port is open, and nobody answers in TLS",
        "use ws:// where the central system has no TLS there, or check what stands between",
    ),
    ("tls", "closed"): (
        "the connection was closed in the handshake",
        "check what stands between: a proxy or firewall that wants another host name does this",
    ),
    ("http", "no_http"): (
        "what answers there speaks no HTTP",
        "check the port; wss:// where the central system has TLS",
    ),
    ("http", "bad_upgrade"): (
        "it agreed to a WebSocket in a way that breaks RFC 6455",
        "check what stands between: a proxy that rewrites headers does this",
    ),
    ("http", "timed_out"): (
        "the central system takes the connection, and does not answer the request",
        "look at its log; a proxy whose backend is away does this too",
    ),
    ("http", "closed"): (
        "the connection was closed instead of an answer",
        "use wss:// where the central system expects TLS; else look at its log",
    ),
    ("subprotocol", "missing"): (
        "the answer names no subprotocol: it may be a WebSocket server that is no central system, "
        "and a charge point may close the connection",
        "check the path, and that OCPP 1.6J is switched on for this station",
    ),
    ("subprotocol", "another"): (
        "the answer names a subprotocol that was not offered",
        "switch OCPP 1.6J on for this station at the central system",
    ),
}

_STATUS: dict[int, tuple[str, str]] = {
    400: (
        "the central system does not take the request: mostly no common subprotocol",
        "switch OCPP 1.6J (subprotocol ocpp1.6) on for this station at the central system",
    ),
    401: (
        "the central system wants another key, or a key at all",
        "enter the same AuthorizationKey on both sides, mind its form (above), and use security "
        "profile 1 or 2",
    ),
    403: (
        "the central system knows the station and does not admit it",
        "enable the station at the central system; check the security profile set there",
    ),
    404: (
        "the path or the identity at its end is unknown there",
        "register the identity at the central system, letter for letter; compare the whole URL",
    ),
    426: (
        "the central system wants an upgrade that was not offered",
        "check the path: this one is for browsers, or for another version of OCPP",
    ),
    429: ("too many attempts", "wait, and look at what else connects as this station"),
    200: (
        "a web page answers, no WebSocket",
        "check the path; a proxy must pass the Upgrade header on",
    ),
}


def meaning_of(step: ConnectStep) -> tuple[str, str | None]:
    """What `step` means, and the fix; None where there is nothing to mend."""
    if step.ok:
        return _GOOD[step.name], None
    if step.outcome == "status" and step.status is not None:
        if step.status in _STATUS:
            return _STATUS[step.status]
        if 300 <= step.status < 400:
            return (
                "the central system sends the charge point elsewhere, which few follow",
                "use the URL that it names",
            )
        if step.status >= 500:
            return (
                "the central system, or a proxy before it, is in trouble",
                "look at its log; try again later",
            )
        return "the central system refuses the connection", "look at its log"
    return _BAD.get((step.name, step.outcome), ("it failed", "look at the central system's log"))
