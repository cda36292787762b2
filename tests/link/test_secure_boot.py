# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures against espsecure, in both directions; the files that hold keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from board_images import application
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from evtool.errors import ConfigError
from evtool.link.signing_key import (
    read_signing_key,
    read_trusted_digest,
    write_new_signing_key,
)
from evtool.protocol.secure_boot import key_digest, signed, signers

IMAGE = application()


def espsecure(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "espsecure", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "sign.pem"
    write_new_signing_key(path)
    return path


def public(pem: Path) -> Path:
    path = pem.with_name("public.pem")
    espsecure("extract-public-key", "--version", "2", "--keyfile", str(pem), str(path))
    return path


def test_espsecure_verifies_what_we_sign(tmp_path: Path, pem: Path) -> None:
    file = tmp_path / "signed.bin"
    file.write_bytes(signed(IMAGE, read_signing_key(pem)))
    espsecure("verify-signature", "--version", "2", "--keyfile", str(pem), str(file))


def test_we_know_what_espsecure_signed_and_burns(tmp_path: Path, pem: Path) -> None:
    plain, file, digest = (tmp_path / name for name in ("plain.bin", "signed.bin", "digest.bin"))
    plain.write_bytes(IMAGE)
    espsecure(
        *("sign-data", "--version", "2", "--keyfile", str(pem)),
        *("--output", str(file), str(plain)),
    )
    ours = key_digest(read_signing_key(pem).public_key())
    assert signers(file.read_bytes(), len(IMAGE)) == (ours,)
    espsecure("digest-sbv2-public-key", "--keyfile", str(pem), "--output", str(digest))
    assert digest.read_bytes() == ours
    assert read_trusted_digest(public(pem)) == ours


def test_a_signature_of_another_image_or_none_is_no_signer(pem: Path) -> None:
    data = signed(IMAGE, read_signing_key(pem))
    assert signers(IMAGE, len(IMAGE)) == ()
    assert signers(b"\x00" + data[1:], len(IMAGE)) == ()
    for place in (len(data) - 0x1000, len(data) - 0x1000 + 500):
        assert signers(data[:place] + b"\x5a" + data[place + 1 :], len(IMAGE)) == ()


def test_a_key_file_is_private_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sign.pem"
    digest = write_new_signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_digest(read_signing_key(path).public_key()) == digest
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="never overwritten"):
        write_new_signing_key(path)
    assert path.read_bytes() == before
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others than its owner"):
        read_signing_key(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        (b"", "holds no RSA key"),
        (b"\x00garbage", "holds no RSA key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no RSA key"),
    ],
)
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: bytes | None, says: str) -> None:
    path = tmp_path / "key.pem"
    if text is not None:
        path.write_bytes(text)
        path.chmod(0o600)
    for read in (read_signing_key, read_trusted_digest):
        with pytest.raises(ConfigError, match=says):
            read(path)


@pytest.mark.parametrize(
    ("key", "locked", "says"),
    [
        (rsa.generate_private_key(65537, 2048), False, "holds no RSA key"),
        (ec.generate_private_key(ec.SECP256R1()), False, "holds no RSA key"),
        (rsa.generate_private_key(65537, 2048), True, "passphrase"),
    ],
)
def test_other_kinds_of_keys_and_passphrases_are_refused(
    tmp_path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, locked: bool, says: str
) -> None:
    path = tmp_path / "key.pem"
    cipher = BestAvailableEncryption(b"secret") if locked else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=says):
        read_signing_key(path)
