# SPDX-License-Identifier: GPL-3.0-or-later
"""Root certificates that the CSMS installs, lists and deletes (whitepaper ed. 2, M03 to M05)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.effects import Happened
from evtool.reference_impl.charge_point.kept_record import read_record, render_record
from evtool.reference_impl.charge_point.security.certificates import (
    HASHES,
    hash_data,
    is_issued_by,
    is_same_hash,
    is_valid_at,
    read_certificates,
)
from evtool.reference_impl.charge_point.values import Effect, Persist

CENTRAL_SYSTEM = "CentralSystemRootCertificate"
MANUFACTURER = "ManufacturerRootCertificate"
KEY_PREFIX = "root."

_KINDS: Mapping[str, tuple[type, ...]] = {"use": (str,), "pem": (str,), "order": (int,)}


class RootStore:
    """The installed roots, oldest first. What it wants kept comes from `drain`.

    Args:
        stored: what earlier runs kept, by key; what cannot be read is dropped.
        max_length: CertificateStoreMaxLength.
    """

    __slots__ = ("_effects", "_max_length", "_order", "_roots")

    def __init__(self, stored: Mapping[str, str] | None = None, max_length: int = 20) -> None:
        self._max_length = max_length
        self._effects: list[Effect] = []
        self._order = 0
        found: list[tuple[int, str, str, str]] = []
        for key, text in (stored or {}).items():
            if not key.startswith(KEY_PREFIX):
                continue
            record = read_record(text, _KINDS)
            if record is None or record["use"] not in (CENTRAL_SYSTEM, MANUFACTURER):
                self._effects.append(Persist(key, None))
                continue
            order = int(record["order"] or 0)
            found.append((order, key, str(record["use"]), str(record["pem"])))
            self._order = max(self._order, order)
        self._roots: dict[str, tuple[str, str]] = {
            key: (use, pem) for _, key, use, pem in sorted(found)
        }
        """By key: (certificateType, PEM)."""

    def __len__(self) -> int:
        return len(self._roots)

    def drain(self) -> list[Effect]:
        """What is to be done, in order."""
        effects, self._effects = self._effects, []
        return effects

    def certificates(self, use: str) -> list[x509.Certificate]:
        """The roots of one use, oldest first."""
        return [
            certificate
            for has, pem in self._roots.values()
            if has == use
            for certificate in read_certificates(pem)
        ]

    def pem(self, use: str) -> str:
        """The same as one PEM text."""
        return "".join(pem for has, pem in self._roots.values() if has == use)

    def install(
        self, use: str, pem: str, unix_ms: int | None, *, signed_by_old: bool = False
    ) -> str:
        """InstallCertificate.req.

        Args:
            use: certificateType.
            pem: one certificate.
            unix_ms: now; None: not known, so that no validity is checked.
            signed_by_old: AdditionalRootCertificateCheck: a central system's root must come
                from the one that it replaces, which stays as a fall-back.

        Returns:
            The status of InstallCertificate.conf.
        """
        certificates = read_certificates(pem)
        if len(certificates) != 1 or (
            unix_ms is not None and not is_valid_at(certificates[0], unix_ms)
        ):
            return self._refuse(use)
        certificate = certificates[0]
        key = _key(use, certificate)
        if key in self._roots:
            return "Accepted"
        old = self.certificates(use) if signed_by_old and use == CENTRAL_SYSTEM else []
        if old:
            if not is_issued_by(certificate, old[-1]):
                return self._refuse(use)
            for other in old[:-1]:
                self._remove(_key(use, other))
        elif len(self._roots) >= self._max_length:
            return "Rejected"
        self._order += 1
        text = certificate.public_bytes(Encoding.PEM).decode("ascii")
        self._roots[key] = (use, text)
        record = render_record({"use": use, "pem": text, "order": self._order})
        self._effects.append(Persist(key, record))
        return "Accepted"

    def identifiers(self, use: str) -> ocpp16.Payload:
        """GetInstalledCertificateIds: the payload of the answer."""
        roots = self.certificates(use)
        if not roots:
            return {"status": "NotFound"}
        return {
            "status": "Accepted",
            "certificateHashData": [hash_data(root, roots) for root in roots],
        }

    def delete(self, wanted: ocpp16.Payload, *, keep_last: bool = False) -> str:
        """DeleteCertificate.req.

        Args:
            wanted: certificateHashData.
            keep_last: the connection depends on a central system's root, so the last stays.

        Returns:
            The status of DeleteCertificate.conf.
        """
        algorithm = wanted["hashAlgorithm"]
        if algorithm not in HASHES:
            return "NotFound"
        for use in (CENTRAL_SYSTEM, MANUFACTURER):
            roots = self.certificates(use)
            for root in roots:
                if not is_same_hash(hash_data(root, roots, algorithm), wanted):
                    continue
                if keep_last and use == CENTRAL_SYSTEM and len(roots) == 1:
                    return "Failed"
                self._remove(_key(use, root))
                return "Accepted"
        return "NotFound"

    def _refuse(self, use: str) -> str:
        if use == CENTRAL_SYSTEM:
            self._effects.append(Happened("InvalidCentralSystemCertificate"))
        return "Rejected"

    def _remove(self, key: str) -> None:
        del self._roots[key]
        self._effects.append(Persist(key, None))


def _key(use: str, certificate: x509.Certificate) -> str:
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()[:32]
    return f"{KEY_PREFIX}{'central' if use == CENTRAL_SYSTEM else 'manufacturer'}.{digest}"
