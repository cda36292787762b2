# SPDX-License-Identifier: GPL-3.0-or-later
"""What a charge point will send to reach its central system, and whether that can work.

Sources: OCPP-J 1.6 3.1 (URL, subprotocol), 6.2 (Basic); white paper ed. 3 A00 (profiles).
It judges any charge point, not only one that evtool provisions: what is unusual is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evtool.project import Secret
from evtool.protocol.authorization_key import key_as_hex
from evtool.protocol.csms_url import charge_point_url, endpoint_url, parse_csms_url
from evtool.protocol.key_forms import Reading, readings
from evtool.protocol.ocpp16 import SUBPROTOCOL, render_basic_authorization
from evtool.provision.certificate_chain import (
    Remarks,
    judge_authorities,
    judge_client_certificate,
    judge_server_chain,
    read_certificates,
)

_MOST_IDENTITY = 48
_EASY_IDENTITY = 25
_UNWELCOME = "= / ( ) < >"


@dataclass(frozen=True, slots=True)
class ConnectionInput:
    """What was typed.

    Attributes:
        url: with or without the identity at its end.
        key: as it was typed; None without one.
        profile: security profile, 0 to 3.
        ca: a PEM file's bytes; the others too. None where none was named.
        client_key: may stand in the same file as the client certificate.
        server: the certificates that the central system shows.
    """

    identity: str
    url: str
    key: Secret | None
    profile: int
    ca: bytes | None = None
    client_certificate: bytes | None = None
    client_key: bytes | None = None
    server: bytes | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """What is sent, and what is to be said about it.

    Attributes:
        url: exactly, with the identity; empty where the URL is none.
        authorization: the header's value; None where none is sent.
        authorization_form: what it consists of, without the key.
        key_readings: by form of the key (`as given`, `as hex digits`); empty without a key.
    """

    url: str
    subprotocol: str
    authorization: Secret | None
    authorization_form: str
    key_readings: dict[str, list[Reading]]
    remarks: Remarks


def judge_connection(values: ConnectionInput, now: datetime) -> Connection:
    """Everything that can be said without a network; `now` is aware. Never raises."""
    remarks = Remarks()
    _judge_identity(values, remarks)
    host = _judge_url(values, remarks)
    authorization, form = _authorization(values, remarks)
    key_readings = _key_readings(values, remarks)
    _judge_certificates(values, host, now, remarks)
    return Connection(
        url=charge_point_url(values.url, values.identity) if host else "",
        subprotocol=SUBPROTOCOL,
        authorization=authorization,
        authorization_form=form,
        key_readings=key_readings,
        remarks=remarks,
    )


def _judge_identity(values: ConnectionInput, remarks: Remarks) -> None:
    identity, problems, warnings = values.identity, remarks.problems, remarks.warnings
    if not identity or not identity.isprintable():
        problems.append("identity: must be printable, and not empty")
    elif identity in (".", ".."):
        problems.append("identity: . and .. vanish from a URL's path")
    if ":" in identity and values.profile in (1, 2):
        problems.append("identity: must not hold a colon: HTTP Basic ends the user name there")
    if len(identity) > _MOST_IDENTITY:
        problems.append(f"identity: has {len(identity)} characters; at most {_MOST_IDENTITY}")
    elif len(identity) > _EASY_IDENTITY:
        warnings.append(
            f"identity: has {len(identity)} characters; some central systems keep only "
            f"{_EASY_IDENTITY}"
        )
    if any(character.isspace() or character in _UNWELCOME for character in identity):
        warnings.append(f"identity: has a blank or one of {_UNWELCOME}, which SteVe refuses")
    if not identity.isascii():
        warnings.append("identity: is not ASCII; not every stack encodes it as UTF-8")


def _judge_url(values: ConnectionInput, remarks: Remarks) -> str:
    """The host; empty where the URL is none."""
    try:
        url = parse_csms_url(values.url)
    except ValueError as error:
        remarks.problems.append(f"url: {error}")
        return ""
    if "?" in values.url:
        remarks.problems.append("url: has a query, which would come before the identity")
    if endpoint_url(values.url, values.identity) != values.url.rstrip("/"):
        remarks.warnings.append(
            "url: ends in the identity already; a charge point that appends it without looking "
            "asks for it twice (404)"
        )
    if values.url.endswith("/"):
        remarks.warnings.append(
            "url: ends in a slash; a charge point that appends another one asks for // (404)"
        )
    if "//" in url.path:
        remarks.warnings.append("url: has // in its path; is that meant?")
    if values.profile in (2, 3) and not url.tls:
        remarks.problems.append(f"url: security profile {values.profile} needs wss://")
    elif values.profile in (0, 1) and url.tls:
        remarks.problems.append(f"url: wss:// is security profile 2 or 3, not {values.profile}")
    if values.profile == 1:
        remarks.warnings.append("profile: 1 sends the key unencrypted; for trusted networks only")
    if values.profile == 0:
        remarks.warnings.append("profile: 0 sends no password; for a bench only")
    return url.host


def _authorization(values: ConnectionInput, remarks: Remarks) -> tuple[Secret | None, str]:
    if values.profile not in (1, 2):
        why = "profile 0" if values.profile == 0 else "profile 3: the client certificate stands"
        return None, f"none ({why})"
    if values.key is None:
        remarks.problems.append(f"key: security profile {values.profile} needs one")
        return None, "none: there is no key"
    try:
        key = bytes.fromhex(key_as_hex(values.key.reveal()))
        header = render_basic_authorization(values.identity, key)
    except ValueError as error:
        if ":" not in values.identity:
            remarks.problems.append(f"key: {error}")
        return None, "none: the key or the identity cannot be used"
    form = f"identity, a colon, {len(key)} bytes of key; {len(header)} characters in all"
    return Secret(header), f"Basic of {form}"


def _key_readings(values: ConnectionInput, remarks: Remarks) -> dict[str, list[Reading]]:
    if values.key is None:
        return {}
    text = values.key.reveal()
    try:
        found = {"as given": readings(text)}
        digits = key_as_hex(text)
    except ValueError as error:
        if values.profile not in (1, 2):
            remarks.warnings.append(f"key: {error}; security profile {values.profile} needs none")
        return {}
    if digits != text:
        found["as hex digits"] = readings(digits)
    best = found.get("as hex digits", found["as given"])
    wrong = [each.stack.name for each in found["as given"] if not each.agrees]
    if wrong:
        remarks.warnings.append("key, as given: read in another way by " + "; ".join(wrong))
    if all(each.agrees for each in best):
        if digits != text:
            remarks.facts.append("key: as 40 hex digits all known stacks read it alike")
    else:
        remarks.warnings.append(
            "key: only 20 printable characters, written as 40 hex digits, are read alike by all "
            "known stacks; { generate = true } in evtool.toml makes such a key"
        )
    return found


def _judge_certificates(
    values: ConnectionInput, host: str, now: datetime, remarks: Remarks
) -> None:
    if values.profile not in (2, 3):
        if values.ca is not None or values.client_certificate is not None:
            remarks.warnings.append("certificates: not used without security profile 2 or 3")
        return
    authorities = []
    if values.ca is None:
        remarks.problems.append(
            f"ca: security profile {values.profile} needs the root that issued the central "
            "system's certificate"
        )
    else:
        if b"PRIVATE KEY" in values.ca:
            remarks.problems.append("ca: the file holds a private key, which must stay at the CA")
        authorities = read_certificates(values.ca, "ca", remarks)
        _add(remarks, judge_authorities(authorities, now) if authorities else Remarks())
    if values.server is not None and host:
        chain = read_certificates(values.server, "server certificate", remarks)
        if chain and authorities:
            _add(remarks, judge_server_chain(chain, authorities, host, now))
    if values.profile == 3:
        _judge_client(values, now, remarks)


def _judge_client(values: ConnectionInput, now: datetime, remarks: Remarks) -> None:
    if values.client_certificate is None:
        remarks.problems.append("client certificate: security profile 3 needs one")
        return
    chain = read_certificates(values.client_certificate, "client certificate", remarks)
    key = values.client_key
    if key is None and b"PRIVATE KEY" in values.client_certificate:
        key = values.client_certificate
    if chain:
        _add(remarks, judge_client_certificate(chain, key, values.identity, now))


def _add(remarks: Remarks, more: Remarks) -> None:
    remarks.problems += more.problems
    remarks.warnings += more.warnings
    remarks.facts += more.facts
