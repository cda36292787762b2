# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an identity is one that a charge point may carry, before any board is touched.

Sources: OCPP 1.6 (CiString lengths), OCPP-J 1.6 3.1 and 6.2, the OCA security whitepaper
(security profiles, AuthorizationKey), IEEE 802.11 (SSID, passphrase). The firmware holds the
same rules in `firmware/lib/evidentity`; these here are never the looser ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from evtool.errors import ConfigError
from evtool.project import ChargePoint, Secret
from evtool.protocol.authorization_key import key_as_hex
from evtool.protocol.csms_url import charge_point_url, endpoint_url, parse_csms_url
from evtool.provision.ca_certificate import CaCertificate, read_ca_certificate
from evtool.provision.client_certificate import (
    CERTIFICATE,
    KEY,
    ClientCertificate,
    read_client_certificate,
)

# One letter or digit at least: `.` and `..` vanish from a URL's path, and `-` is what a board
# without an identity says.
_IDENTITY = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9._*+~-]{1,48}\Z")
_HEX_64 = re.compile(r"[0-9A-Fa-f]{64}\Z")
_EASY_IDENTITY_LENGTH = 25
_KEY_LENGTH = 20
_CERTIFICATE_PROFILE = 3

# "[table] key" and the rule that its value breaks; never a secret value
Problem = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class IdentityInput:
    """What a unit shall be, as it was written down.

    Attributes:
        csms_url: without the identity.
        ca_certificate: the PEM file's bytes; None without one.
        client_certificate: the bytes of the PEM file with the unit's own and its chain.
        client_key: its private key, as PEM.
    """

    charge_point: ChargePoint
    wifi_ssid: str
    wifi_passphrase: Secret
    csms_url: str
    authorization_key: Secret
    security_profile: int
    ca_certificate: bytes | None
    client_certificate: bytes | None = None
    client_key: Secret | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity that keeps all the rules.

    Attributes:
        csms_url: without the identity and without a slash at its end.
        full_url: what the unit will open.
        authorization_key: 32 to 40 hex digits.
        warnings: what is allowed and still likely to cause trouble.
        client: the unit's own certificate with its key; in security profile 3, and there alone.
    """

    charge_point: ChargePoint
    wifi_ssid: str
    wifi_passphrase: Secret
    csms_url: str
    full_url: str
    authorization_key: Secret
    security_profile: int
    ca_certificate: CaCertificate | None
    warnings: tuple[str, ...]
    client: ClientCertificate | None = None

    def secrets(self) -> dict[str, str]:
        """Its secrets by the names that fleets use, as they go into its image."""
        found = {
            "wifi_passphrase": self.wifi_passphrase.reveal(),
            "authorization_key": self.authorization_key.reveal(),
        }
        return found if self.client is None else found | {KEY: self.client.key.reveal()}

    def certificate_fields(self) -> dict[str, object]:
        """What a ledger's record says of its certificates."""
        root, own = self.ca_certificate, self.client
        fields: dict[str, object] = {
            "ca_sha256": None if root is None else root.fingerprint,
            "ca_not_after": None if root is None else root.not_after.isoformat(),
        }
        if own is not None:
            fields["certificate_sha256"] = own.fingerprint
            fields["certificate_not_after"] = own.not_after.isoformat()
        return fields


@dataclass(frozen=True, slots=True)
class Judgement:
    """An identity looked at, rule by rule.

    Attributes:
        identity: None where a rule is broken.
        problems: the rules that are broken.
        warnings: what is allowed and still likely to cause trouble.
    """

    identity: Identity | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_identity(
    values: IdentityInput, *, now: datetime, locate: Callable[[str, str], str] | None = None
) -> Identity:
    """`values` with every rule kept.

    Args:
        now: aware; certificates are checked against it.
        locate: gives `file:line` of a key, called with table and key.

    Raises:
        ConfigError: one line for every rule that is broken, with its key; no secret in it.
    """
    judged = judge_identity(values, now=now)
    if judged.identity is not None:
        return judged.identity
    lines = [
        f"{locate(table, name) + ': ' if locate else ''}[{table}] {name}: {rule}"
        for table, name, rule in judged.problems
    ]
    count = len(lines)
    raise ConfigError(
        "\n".join(lines),
        fix=f"mend the {'value' if count == 1 else f'{count} values'} above; no board was touched",
    )


def judge_identity(values: IdentityInput, *, now: datetime) -> Judgement:
    """Every rule that `values` break, and what is to be said about them; `now` is aware."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    _check_charge_point(values.charge_point, problems, warnings)
    _check_wifi(values, problems, warnings)
    key = _check_key(values.authorization_key, problems, warnings)
    certificate = _check_certificate(values, now, problems, warnings)
    _check_csms(values, problems, warnings)
    client = _check_client(values, now, problems, warnings)
    if problems:
        return Judgement(None, tuple(problems), tuple(warnings))
    identity = Identity(
        charge_point=values.charge_point,
        wifi_ssid=values.wifi_ssid,
        wifi_passphrase=values.wifi_passphrase,
        csms_url=values.csms_url.rstrip("/"),
        full_url=charge_point_url(values.csms_url, values.charge_point.identity),
        authorization_key=Secret(key),
        security_profile=values.security_profile,
        ca_certificate=certificate,
        warnings=tuple(f"[{table}] {name}: {rule}" for table, name, rule in warnings),
        client=client,
    )
    return Judgement(identity, (), tuple(warnings))


def _is_printable(text: str) -> bool:
    return all(" " <= character <= "~" for character in text)


def _check_charge_point(
    charge_point: ChargePoint, problems: list[Problem], warnings: list[Problem]
) -> None:
    table = "charge_point"
    identity = charge_point.identity
    if not _IDENTITY.match(identity):
        problems.append(
            (
                table,
                "identity",
                f"{_shown(identity)} must be 1 to 48 characters of A-Z a-z 0-9 . _ - * + ~, "
                "one of them a letter or digit "
                "(it becomes a part of a URL and the user name of HTTP Basic)",
            )
        )
    elif len(identity) > _EASY_IDENTITY_LENGTH:
        rule = f"{len(identity)} characters; some central systems keep only {_EASY_IDENTITY_LENGTH}"
        warnings.append((table, "identity", rule))
    for key, text, least, most in (
        ("vendor", charge_point.vendor, 1, 20),
        ("model", charge_point.model, 1, 20),
        ("serial_number", charge_point.serial_number, 1, 25),
        ("local_id_tag", charge_point.local_id_tag, 0, 20),
    ):
        if not least <= len(text) <= most or not _is_printable(text):
            rule = f"must be {least} to {most} printable ASCII characters (CiString{most})"
            problems.append((table, key, f"{_shown(text)} {rule}"))


def _shown(text: str) -> str:
    """A value that is no secret, short enough for one line."""
    shown = ascii(text)
    return shown if len(shown) <= 40 else f"{shown[:36]}...' ({len(text)} characters)"


def _check_wifi(values: IdentityInput, problems: list[Problem], warnings: list[Problem]) -> None:
    ssid = values.wifi_ssid
    if ssid != ssid.strip() or not ssid.isprintable():
        rule = f"{_shown(ssid)} has blanks around it, or characters that do not print"
        warnings.append(("wifi", "ssid", rule))
    size = len(values.wifi_ssid.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= 32 or "\0" in values.wifi_ssid:
        problems.append(("wifi", "ssid", f"is {size} bytes of UTF-8; an SSID is 1 to 32 bytes"))
    passphrase = values.wifi_passphrase.reveal()
    is_text = 8 <= len(passphrase) <= 63 and _is_printable(passphrase)
    if not is_text and not _HEX_64.match(passphrase):
        problems.append(
            (
                "wifi",
                "passphrase",
                f"({len(passphrase)} characters) must be 8 to 63 printable ASCII characters, "
                "or exactly 64 hex digits",
            )
        )


def _check_key(secret: Secret, problems: list[Problem], warnings: list[Problem]) -> str:
    text = secret.reveal()
    try:
        key = key_as_hex(text)
    except ValueError as error:
        problems.append(("csms", "authorization_key", f"({len(text)} characters) {error}"))
        return ""
    plain = bytes.fromhex(key)
    if len(plain) != _KEY_LENGTH or any(not 0x20 < byte < 0x7F for byte in plain):
        rule = (
            "not 20 printable characters, the one form that all known central systems read "
            "alike; { generate = true } makes such a key"
        )
        warnings.append(("csms", "authorization_key", rule))
    return key


def _check_certificate(
    values: IdentityInput, now: datetime, problems: list[Problem], warnings: list[Problem]
) -> CaCertificate | None:
    if values.ca_certificate is None:
        return None
    found = read_ca_certificate(values.ca_certificate, now)
    problems.extend(("csms", "ca_certificate", problem) for problem in found.problems)
    warnings.extend(("csms", "ca_certificate", warning) for warning in found.warnings)
    return found.certificate


def _check_client(
    values: IdentityInput, now: datetime, problems: list[Problem], warnings: list[Problem]
) -> ClientCertificate | None:
    given = {CERTIFICATE: values.client_certificate, KEY: values.client_key}
    if values.security_profile != _CERTIFICATE_PROFILE:
        # What a unit does not use it is not given: it would be one more secret in its flash.
        rule = f"goes with security_profile 3; this is {values.security_profile}"
        problems.extend(("csms", name, rule) for name, value in given.items() if value is not None)
        return None
    if values.client_certificate is None:
        problems.append(("csms", CERTIFICATE, "missing; security_profile 3 needs the unit's own"))
        if values.client_key is None:
            problems.append(("csms", KEY, "missing; security_profile 3 needs the unit's own"))
        return None
    found = read_client_certificate(
        values.client_certificate, values.client_key, values.charge_point, now
    )
    problems.extend(("csms", name, rule) for name, rule in found.problems)
    warnings.extend(("csms", name, rule) for name, rule in found.warnings)
    return found.client


def _check_csms(values: IdentityInput, problems: list[Problem], warnings: list[Problem]) -> None:
    table = "csms"
    text = values.csms_url
    profile = values.security_profile
    if profile not in (0, 1, 2, 3):
        problems.append((table, "security_profile", "must be 0, 1, 2 or 3"))
    try:
        url = parse_csms_url(text)
    except ValueError as error:
        problems.append((table, "url", str(error)))
        return
    if "?" in text:
        problems.append((table, "url", "must not hold a query (?...)"))
    if endpoint_url(text, values.charge_point.identity) != text.rstrip("/"):
        problems.append((table, "url", "ends in the identity already; the unit appends it itself"))
    if profile in (2, 3) and not url.tls:
        problems.append((table, "url", f"security_profile {profile} needs wss://"))
    if profile in (0, 1) and url.tls:
        problems.append((table, "security_profile", "a wss:// url needs security_profile 2 or 3"))
    if url.tls and values.ca_certificate is None:
        problems.append((table, "ca_certificate", "missing; a wss:// url needs the CSMS's root"))
    if not url.tls and values.ca_certificate is not None:
        warnings.append((table, "ca_certificate", "not used by a ws:// url"))
    if profile == 0:
        warnings.append((table, "security_profile", "0 sends no password; for a bench only"))
