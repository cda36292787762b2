# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's own certificate with its private key (security profile 3): read, judged, and written
again without anything around them.

A unit's TLS is mbedTLS 2.28 as Arduino-ESP32 2.0.x builds it, whose kinds of keys these are. The
name is the white paper's (A00): the common name is the charge point's serial number; many
central systems want the identity there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from evtool.project import ChargePoint, Secret
from evtool.provision.certificate_chain import (
    Remarks,
    common_name,
    judge_chain_order,
    judge_client_pair,
    name_of,
    read_certificates,
)

CERTIFICATE, KEY = "client_certificate", "client_key"
_LONGEST = 3999  # a string in NVS
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MOST_RSA_BITS = 4096
_LEAST_EC_BITS = 224  # below, it is told that the key is too short
_KINDS = f"RSA up to {_MOST_RSA_BITS} bits, and EC on P-256, P-384 or P-521"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What the unit will show.

    Attributes:
        pem: the chain, the unit's own certificate first, and nothing else.
        key: PKCS #8 as PEM, not encrypted.
        fingerprint: SHA-256 of the unit's own certificate, hex.
        not_after: when the first of the chain expires.
    """

    pem: str
    key: Secret
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class ClientReport:
    """The pair where it may be used, and what is to be said: (name of the value, rule)."""

    client: ClientCertificate | None
    problems: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]


def read_client_certificate(
    data: bytes, key: Secret | None, unit: ChargePoint, now: datetime
) -> ClientReport:
    """Read and judge a unit's certificate. Never raises; no rule shows the key.

    Args:
        data: of the PEM file with the chain.
        key: the private key as PEM; None where it is missing, which is a problem.
        unit: whose it is to be.
        now: aware.
    """
    if b"PRIVATE KEY" in data:
        rule = "the file holds a private key; name that as client_key, and here the certificates"
        return ClientReport(None, ((CERTIFICATE, rule),), ())
    remarks = Remarks()
    chain = read_certificates(data, "it", remarks)
    if not chain:
        return _report(None, remarks)
    leaf = chain[0]
    key_pem = None if key is None else key.reveal().encode(errors="replace")
    remarks = judge_client_pair(chain, key_pem, now)
    judge_chain_order(chain, remarks)
    remarks.problems += [*_unusable(chain), *_of_another(leaf, unit)]
    # Of many units' certificates the same may be said: it is told once where no name is in it.
    known = (f"client certificate: {name_of(leaf)}: ", f"{name_of(leaf)}: ")
    remarks.warnings = [_without(known, rule) for rule in remarks.warnings]
    pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)
    if len(pem) > _LONGEST:
        remarks.problems.append(
            f"is {len(pem)} bytes of PEM; there is room for {_LONGEST}: leave out the root, which "
            "the central system has"
        )
    if key is None:
        report = _report(None, remarks)
        missing = (KEY, "missing: the private key of client_certificate")
        return ClientReport(None, (*report.problems, missing), report.warnings)
    text = as_pkcs8(key)
    if text is not None and len(text) > _LONGEST:
        remarks.problems.append(f"its key is {len(text)} bytes of PEM, with room for {_LONGEST}")
    if text is None or remarks.problems:
        return _report(None, remarks)
    ends = min(each.not_valid_after_utc for each in chain)
    made = ClientCertificate(pem, Secret(text), leaf.fingerprint(SHA256()).hex(), ends)
    return _report(made, remarks)


def _report(client: ClientCertificate | None, remarks: Remarks) -> ClientReport:
    problems = tuple((CERTIFICATE, rule) for rule in remarks.problems)
    return ClientReport(client, problems, tuple((CERTIFICATE, rule) for rule in remarks.warnings))


def _without(beginnings: Sequence[str], rule: str) -> str:
    return next((rule.removeprefix(each) for each in beginnings if rule.startswith(each)), rule)


def _of_another(leaf: x509.Certificate, unit: ChargePoint) -> list[str]:
    """Whether it is named for somebody else."""
    if common_name(leaf) in (unit.identity, unit.serial_number):
        return []
    return [
        f"{name_of(leaf)}: its common name is neither the identity {unit.identity!a} nor "
        f"the serial number {unit.serial_number!a}: is it another unit's?"
    ]


def _unusable(chain: Sequence[x509.Certificate]) -> list[str]:
    """What of a chain a unit's TLS cannot use."""
    problems = []
    for certificate in chain:
        key = certificate.public_key()
        is_short_ec = isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_EC_BITS
        if not is_short_ec and not _is_known(key):
            problems.append(f"{name_of(certificate)}: a unit's TLS knows keys of {_KINDS} only")
        elif not _is_signed_as_known(certificate):
            problems.append(f"{name_of(certificate)}: signed in a way that a unit does not know")
    return problems


def _is_signed_as_known(certificate: x509.Certificate) -> bool:
    try:
        return certificate.signature_hash_algorithm is not None  # Ed25519, Ed448
    except UnsupportedAlgorithm:
        return False


def _is_known(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size <= _MOST_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)


def as_pkcs8(key: Secret) -> str | None:
    """The one form that a unit is given, whichever it came in; None where it is no such key."""
    try:
        loaded = load_pem_private_key(
            key.reveal().encode(), None, unsafe_skip_rsa_key_validation=True
        )
        made = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None  # judged already
    return made.decode("ascii")
