# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of a connection with TLS, judged without a connection.

The rules are those that a charge point can be expected to apply (RFC 5280, RFC 6125; white
paper ed. 3, A00.FR.501-511), not those of a browser: private authorities leave out half of the
extensions that a browser insists on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_WARN_BEFORE = timedelta(days=90)
_LONGEST_CHAIN = 8
_LEAST_RSA_BITS = 2048
_LEAST_EC_BITS = 224


@dataclass(slots=True)
class Remarks:
    """What is wrong, what is likely to be, and what is well; a sentence each."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


def read_certificates(data: bytes, what: str, remarks: Remarks) -> list[x509.Certificate]:
    """The certificates of a PEM file; none, and a problem, where it holds none that can be read."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except _UNREADABLE:
        remarks.problems.append(f"{what}: no PEM certificate (-----BEGIN CERTIFICATE-----) in it")
        return []
    for certificate in found:
        try:  # `cryptography` reads these parts when they are asked for
            _ = certificate.extensions, certificate.public_key()
            _ = certificate.subject, certificate.issuer
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except _UNREADABLE as error:
            remarks.problems.append(f"{what}: a certificate that cannot be read: {str(error)!a}")
            return []
    return found


def judge_server_chain(
    chain: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    host: str,
    now: datetime,
) -> Remarks:
    """What a charge point that trusts `authorities` would say of a server's `chain`.

    Args:
        chain: the server's own certificate first, then what it sends along.
        host: the name or address of the URL.
        now: aware.
    """
    remarks = Remarks()
    leaf = chain[0]
    for certificate in chain:
        _judge_dates(certificate, "server's chain", now, remarks)
    _judge_host(leaf, host, remarks)
    usage = _extended_usage(leaf)
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        remarks.problems.append(f"{name_of(leaf)}: is not issued for servers (extended key usage)")
    _judge_path(chain, authorities, "the CA file", remarks)
    return remarks


def judge_client_certificate(
    chain: Sequence[x509.Certificate],
    key: bytes | None,
    identity: str,
    now: datetime,
) -> Remarks:
    """What a central system would say of a charge point's certificate, profile 3.

    Args:
        chain: its own certificate first.
        key: the PEM of its private key, not encrypted; None where there is none to look at.
        identity: of the charge point; many central systems want it as the common name.
        now: aware.
    """
    remarks = judge_client_pair(chain, key, now)
    leaf = chain[0]
    if common_name(leaf) != identity:
        remarks.warnings.append(
            f"{name_of(leaf)}: its common name is not the identity {identity!a}; it may be the "
            "serial number, and then the central system must know which station that is"
        )
    if key is None:
        remarks.warnings.append(f"{name_of(leaf)}: its private key was not named, and not checked")
    return remarks


def judge_client_pair(
    chain: Sequence[x509.Certificate], key: bytes | None, now: datetime
) -> Remarks:
    """The same without a word about whose it is, nor about a key that is missing."""
    remarks = Remarks()
    leaf = chain[0]
    for certificate in chain:
        _judge_dates(certificate, "client certificate", now, remarks)
    _judge_strength(leaf, remarks)
    usage = _extended_usage(leaf)
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        remarks.problems.append(f"{name_of(leaf)}: is not issued for clients (extended key usage)")
    if not leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME):
        remarks.warnings.append(f"{name_of(leaf)}: no organisation (O) in its subject")
    if key is not None:
        _judge_key(leaf, key, remarks)
    return remarks


def judge_chain_order(chain: Sequence[x509.Certificate], remarks: Remarks) -> None:
    """Note where a certificate of `chain` was not issued by the one behind it (RFC 8446, 4.4.2)."""
    for here, issuer in pairwise(chain):
        if not _issued(issuer, here):
            remarks.problems.append(
                f"{name_of(here)}: was not issued by {name_of(issuer)}, which stands behind it"
            )
        elif not _may_issue(issuer):
            remarks.problems.append(f"{name_of(issuer)}: has issued others, and is no authority")


def judge_authorities(authorities: Sequence[x509.Certificate], now: datetime) -> Remarks:
    """Whether a charge point can found its trust on `authorities`."""
    remarks = Remarks()
    for certificate in authorities:
        _judge_dates(certificate, "CA", now, remarks)
        _judge_strength(certificate, remarks)
        if not _may_issue(certificate):
            remarks.problems.append(f"{name_of(certificate)}: is no authority (basic constraints)")
    if not any(each.subject == each.issuer for each in authorities):
        remarks.warnings.append(
            "no root in the CA file: software that insists on a chain up to a root refuses it"
        )
    return remarks


def _judge_path(
    chain: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    store: str,
    remarks: Remarks,
) -> None:
    trusted = set(authorities)
    here = chain[0]
    path = [name_of(here)]
    for _ in range(_LONGEST_CHAIN):
        if here in trusted:
            remarks.facts.append("trusted: " + " < ".join(path))
            return
        known = [each for each in (*authorities, *chain) if each.subject == here.issuer]
        issuer = next((each for each in known if _issued(each, here)), None)
        if issuer is None or issuer == here:
            break
        if not _may_issue(issuer):
            remarks.problems.append(f"{name_of(issuer)}: has issued others, and is no authority")
            return
        here = issuer
        path.append(name_of(here))
    else:
        remarks.problems.append(f"the chain is longer than {_LONGEST_CHAIN} certificates")
        return
    if known and here.subject != here.issuer:
        remarks.problems.append(
            f"{name_of(here)}: was not signed by the {name_of(known[0])} of {store}, which has the "
            "same name and another key"
        )
    else:
        missing = here.issuer.rfc4514_string()
        remarks.problems.append(f"{name_of(here)}: its issuer {missing!a} is not in {store}")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def _judge_dates(certificate: x509.Certificate, what: str, now: datetime, remarks: Remarks) -> None:
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    name = f"{what}: {name_of(certificate)}"
    if until < now:
        remarks.problems.append(f"{name}: expired on {until:%Y-%m-%d}")
    elif since > now:
        remarks.problems.append(
            f"{name}: is not valid before {since:%Y-%m-%d} (is this computer's clock right?)"
        )
    elif until < now + _WARN_BEFORE:
        remarks.warnings.append(f"{name}: expires on {until:%Y-%m-%d}")
    else:
        remarks.facts.append(f"{name}: valid until {until:%Y-%m-%d}")


def _judge_strength(certificate: x509.Certificate, remarks: Remarks) -> None:
    key = certificate.public_key()
    weak = (isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_EC_BITS
    )
    if weak:
        remarks.problems.append(
            f"{name_of(certificate)}: its key is too short; RSA needs {_LEAST_RSA_BITS} bits, EC "
            f"{_LEAST_EC_BITS}"
        )


def _judge_host(leaf: x509.Certificate, host: str, remarks: Remarks) -> None:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        only = common_name(leaf)
        if _name_covers(only, host):
            remarks.warnings.append(
                f"{name_of(leaf)}: names {host} as common name only; software that wants a subject "
                "alternative name refuses it"
            )
        else:
            remarks.problems.append(_wrong_host(host, [only]))
        return
    dns = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        found = any(_name_covers(name, host) for name in dns)
    else:
        found = address in addresses
    if found:
        remarks.facts.append(f"server's certificate is for {host}")
    else:
        remarks.problems.append(_wrong_host(host, [*dns, *map(str, addresses)]))


def _wrong_host(host: str, names: Sequence[str]) -> str:
    listed = ", ".join(ascii(name)[1:-1] for name in names if name) or "nobody"
    return f"server's certificate is not for {host}, but for {listed}"


def _name_covers(pattern: str, host: str) -> bool:
    """RFC 6125, 6.4.3: a `*` stands for the whole leftmost label, and for nothing else."""
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        _, dot, rest = host.partition(".")
        return bool(dot) and "." in rest and rest == pattern[2:]
    return bool(pattern) and pattern == host


def _judge_key(leaf: x509.Certificate, pem: bytes, remarks: Remarks) -> None:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        remarks.problems.append("the private key is encrypted; a charge point cannot use it so")
        return
    except (ValueError, UnsupportedAlgorithm):
        remarks.problems.append("the private key's file holds no PEM private key")
        return
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form):
        remarks.facts.append(f"{name_of(leaf)}: the private key belongs to it")
    else:
        remarks.problems.append(f"{name_of(leaf)}: the private key is another one's")


def _extended_usage(certificate: x509.Certificate) -> x509.ExtendedKeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def common_name(certificate: x509.Certificate) -> str:
    """Its subject's, "" without one."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def name_of(certificate: x509.Certificate) -> str:
    """Short, and harmless on a terminal: whoever issued it chose it."""
    text = common_name(certificate) or certificate.subject.rfc4514_string() or "nameless"
    return ascii(text)[1:-1]
