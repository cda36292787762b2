# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a firmware image was signed by the certificate that came with it.

Security whitepaper ed. 2, L01: an RSA or ECDSA signature in base64 over the SHA-256 of the
whole image.
"""

from __future__ import annotations

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

_PREHASHED = Prehashed(SHA256())


def is_signed_by(certificate_pem: str, signature_base64: str, sha256: bytes) -> bool:
    """Check a signature; what cannot be read is no signature.

    Args:
        certificate_pem: the signing certificate.
        signature_base64: RSA (PKCS #1 v1.5 or PSS) or ECDSA; line breaks are allowed.
        sha256: the digest of the image, 32 bytes.
    """
    try:
        key = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
        signature = base64.b64decode("".join(signature_base64.split()), validate=True)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, binascii.Error):
        return False
    match key:
        case ec.EllipticCurvePublicKey():
            return _verifies_ecdsa(key, signature, sha256)
        case rsa.RSAPublicKey():
            return _verifies_rsa(key, signature, sha256)
    return False


def _verifies_ecdsa(key: ec.EllipticCurvePublicKey, signature: bytes, sha256: bytes) -> bool:
    try:
        key.verify(signature, sha256, ec.ECDSA(_PREHASHED))
    except (InvalidSignature, ValueError):
        return False
    return True


def _verifies_rsa(key: rsa.RSAPublicKey, signature: bytes, sha256: bytes) -> bool:
    for scheme in (
        padding.PKCS1v15(),
        padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO),
    ):
        try:
            key.verify(signature, sha256, scheme, _PREHASHED)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
