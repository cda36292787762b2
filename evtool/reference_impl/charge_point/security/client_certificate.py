# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge point's own certificate: requested, signed, replaced (whitepaper ed. 2, A02, A03).

A new private key stays beside the old one until the CSMS has returned a certificate for it, so
that a request that fails leaves the charge point able to connect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from evtool.reference_impl.charge_point.effects import Happened, MakeKey, Notify
from evtool.reference_impl.charge_point.security.certificates import (
    is_trusted,
    read_certificates,
)
from evtool.reference_impl.charge_point.values import Effect, Persist

KEY = "client.key"
CERTIFICATE = "client.certificate"
NEW_KEY = "client.new_key"
_LONGEST_NAME = 64  # X.520: ub-common-name, ub-organization-name

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class ClientCertificate:
    """The certificate with its key, and a request under way. `drain` gives what is to be done.

    Args:
        stored: what earlier runs kept, by key.
    """

    __slots__ = ("_certificate", "_effects", "_key", "_new_key", "_requested")

    def __init__(self, stored: Mapping[str, str] | None = None) -> None:
        kept = stored or {}
        self._key = kept.get(KEY, "")
        self._certificate = kept.get(CERTIFICATE, "")
        self._new_key = kept.get(NEW_KEY, "")
        self._requested = False
        self._effects: list[Effect] = []

    def drain(self) -> list[Effect]:
        """What is to be done, in order."""
        effects, self._effects = self._effects, []
        return effects

    def installed(self) -> tuple[str, str] | None:
        """(certificate chain, private key), both PEM; None where there is no such pair."""
        if not read_certificates(self._certificate) or _read_key(self._key) is None:
            return None
        return self._certificate, self._key

    def provide(self, certificate_pem: str, key_pem: str) -> None:
        """Use a pair that came with the charge point; ValueError where it is none."""
        certificates, key = read_certificates(certificate_pem), _read_key(key_pem)
        if not certificates or key is None or not _fit(certificates[0], key):
            raise ValueError("no certificate with its private key")
        self._use(certificate_pem, key_pem)

    def request(self) -> None:
        """A certificate is wanted: ask for a key; SignCertificate follows when it is there."""
        self._requested = True
        self._effects.append(MakeKey())

    def on_key(self, key_pem: str, name: str, organisation: str) -> None:
        """The private key that was asked for.

        Args:
            key_pem: PKCS #8, not encrypted.
            name: the charge point's serial number, for the subject's CN.
            organisation: CpoName, for its O; "" leaves it out.
        """
        key = _read_key(key_pem)
        if key is None or not self._requested:
            return
        self._requested = False
        self._new_key = key_pem
        self._effects += [
            Persist(NEW_KEY, key_pem),
            Notify("SignCertificate", {"csr": _request_pem(key, name, organisation)}),
        ]

    def on_refused(self) -> None:
        """The CSMS does not sign: the new key is not needed."""
        self._new_key = ""
        self._effects.append(Persist(NEW_KEY, None))

    def on_signed(
        self,
        chain_pem: str,
        roots: Sequence[x509.Certificate],
        unix_ms: int,
        max_size: int,
    ) -> str:
        """CertificateSigned.req.

        Args:
            chain_pem: the leaf first.
            roots: those of the central system.
            unix_ms: now.
            max_size: CertificateSignedMaxChainSize, in characters.

        Returns:
            The status of CertificateSigned.conf.
        """
        chain = read_certificates(chain_pem) if len(chain_pem) <= max_size else []
        key = _read_key(self._new_key)
        if (
            key is None
            or not chain
            or not _fit(chain[0], key)
            or not is_trusted(chain, roots, unix_ms)
        ):
            self._effects.append(Happened("InvalidChargePointCertificate"))
            return "Rejected"
        self._use(chain_pem, self._new_key)
        return "Accepted"

    def _use(self, certificate_pem: str, key_pem: str) -> None:
        self._certificate, self._key, self._new_key = certificate_pem, key_pem, ""
        self._effects += [
            Persist(CERTIFICATE, certificate_pem),
            Persist(KEY, key_pem),
            Persist(NEW_KEY, None),
        ]


def _read_key(pem: str) -> PrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, PrivateKey) else None


def _fit(certificate: x509.Certificate, key: PrivateKey) -> bool:
    return bool(certificate.public_key() == key.public_key())


def _request_pem(key: PrivateKey, name: str, organisation: str) -> str:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])]
    if organisation:
        attributes.insert(
            0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:_LONGEST_NAME])
        )
    request = x509.CertificateSigningRequestBuilder(x509.Name(attributes)).sign(
        key, hashes.SHA256()
    )
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")
