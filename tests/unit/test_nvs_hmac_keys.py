# SPDX-License-Identifier: GPL-3.0-or-later
"""The two NVS keys that a chip works out from the HMAC key in its eFuses."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.link.nvs_files import read_hmac_key
from evtool.protocol.nvs_encryption import derive_keys, encode_keys

KEY = bytes(range(1, 33))


def _hmac(key: bytes, message: bytes) -> bytes:
    """RFC 2104, written out."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


@given(st.binary(min_size=32, max_size=32))
def test_both_keys_are_hmacs_of_espressifs_constants(key: bytes) -> None:
    keys = derive_keys(key)
    assert keys.encryption == _hmac(key, b"\x5a\x5a\xbe\xae" * 8)
    assert keys.tweak == _hmac(key, b"\xa5\xa5\xde\xce" * 8)


def test_espressifs_generator_works_out_the_same_keys(tmp_path: Path) -> None:
    try:
        generator = importlib.import_module("esp_idf_nvs_partition_gen.nvs_partition_gen")
    except ImportError:
        pytest.skip("needs esp-idf-nvs-partition-gen (pip install it)")
    source = tmp_path / "hmac.bin"
    source.write_bytes(KEY)
    generator.generate_key(
        SimpleNamespace(
            keyfile="keys.bin", outdir=str(tmp_path), key_protect_hmac=True,
            kp_hmac_keygen=False, kp_hmac_keyfile=None, kp_hmac_inputkey=str(source),
        )
    )  # fmt: skip
    [theirs] = tmp_path.glob("keys/*keys.bin")
    assert theirs.read_bytes() == encode_keys(derive_keys(KEY))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has 0 bytes; an HMAC key has 32"),
        (KEY[:-1], "has 31 bytes"),
        (KEY + b"\n", "has 33 bytes"),
        (encode_keys(derive_keys(KEY)), "has 4096 bytes; .*is it an image of nvs_keys"),
        (bytes(32), "all its bytes are the same"),
    ],
)
def test_what_is_no_hmac_key(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        read_hmac_key(path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_hmac_key(path)
