# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed values open for the right key and name, and for nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.project import Secret
from evtool.provision.secrets.export import exported_form
from evtool.provision.secrets.fingerprint import key_fingerprint
from evtool.provision.secrets.key_derivation import Derivation, sealing_key
from evtool.provision.secrets.sealing import (
    SealBroken,
    SealingKey,
    seal,
    sealed_with,
    unseal,
)

KEY = SealingKey(bytes(range(32)))
OTHER = SealingKey(bytes(32))
KEYS = {KEY.key_id: KEY}
NONCE = b"12 byte once"
NAME = "secret/CP-1/authorization_key/1"
# RFC 7914, 12: the first 32 of the 64 bytes.
RFC_7914 = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"


@given(st.binary(max_size=200), st.text(max_size=40), st.binary(min_size=12, max_size=12))
def test_what_was_sealed_opens_again(value: bytes, name: str, nonce: bytes) -> None:
    data = seal(value, name, KEY, nonce)
    assert unseal(data, name, KEYS) == value
    assert sealed_with(data) == KEY.key_id
    assert len(value) < 8 or value not in data[24:]


@given(st.data())
def test_no_changed_bit_opens(data: st.DataObject) -> None:
    sealed = bytearray(seal(b"hunter2hunter2hunter", NAME, KEY, NONCE))
    at = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises((SealBroken, ConfigError)) as error:
        unseal(bytes(sealed), NAME, KEYS)
    assert "hunter2" not in str(error.value)


@given(st.integers(0, 70))
def test_no_piece_opens(length: int) -> None:
    sealed = seal(b"x" * 40, NAME, KEY, NONCE)
    with pytest.raises(SealBroken):
        unseal(sealed[:length], NAME, KEYS)


def test_a_value_belongs_to_its_unit_its_name_and_its_generation() -> None:
    sealed = seal(b"x", NAME, KEY, NONCE)
    for name in (
        "secret/CP-2/authorization_key/1",
        "secret/CP-1/wifi_passphrase/1",
        "secret/CP-1/authorization_key/2",
    ):
        with pytest.raises(SealBroken, match="belongs to another name"):
            unseal(sealed, name, KEYS)


def test_a_wrong_key_is_told_from_a_changed_value() -> None:
    with pytest.raises(ConfigError, match=f"sealed with the key {KEY.key_id}, which is not"):
        unseal(seal(b"x", NAME, KEY, NONCE), NAME, {OTHER.key_id: OTHER})


def test_a_key_hides_itself_and_its_id_is_no_piece_of_it() -> None:
    assert KEY.key.hex() not in repr(KEY)
    assert KEY.key_id not in KEY.key.hex()
    assert KEY.key_id != OTHER.key_id
    with pytest.raises(ValueError, match="32 bytes"):
        SealingKey(b"short")


def test_a_passphrase_becomes_the_key_that_rfc_7914_says() -> None:
    # Its passphrase is shorter than ours may be: the library is held to it, and we to the library.
    derivation = Derivation(b"NaCl", n=1024, r=8, p=16)
    with pytest.raises(ConfigError, match="8 characters; at least 12"):
        sealing_key(Secret("password"), derivation)
    made = sealing_key(Secret("password password"), derivation).key
    scrypt = Scrypt(salt=b"NaCl", length=32, n=1024, r=8, p=16)
    assert scrypt.derive(b"password").hex() == RFC_7914
    assert made == Scrypt(salt=b"NaCl", length=32, n=1024, r=8, p=16).derive(b"password password")


def test_64_hex_digits_are_the_key_itself() -> None:
    assert sealing_key(Secret(KEY.key.hex()), Derivation()) == KEY
    assert sealing_key(Secret(KEY.key.hex().upper()), Derivation()) == KEY


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"\xff", b'{"salt": "zz", "n": 2, "r": 8, "p": 1}',
        b'{"salt": "00", "n": 1073741824, "r": 8, "p": 1}',  # a TiB of memory
        b'{"salt": "00", "n": 3, "r": 8, "p": 1}',
        b'{"salt": "00", "n": 2, "r": 8, "p": 1000000}',
    ],
)  # fmt: skip
def test_a_changed_derivation_is_refused(data: bytes) -> None:
    with pytest.raises(SealBroken):
        Derivation.decode(data)


@given(st.binary(max_size=16), st.sampled_from([2, 1 << 17]), st.integers(1, 32))
def test_a_derivation_is_kept_whole(salt: bytes, n: int, r: int) -> None:
    derivation = Derivation(salt, n, r)
    assert Derivation.decode(derivation.encode()) == derivation


def test_the_forms_of_a_key() -> None:
    text = "abcdefghij0123456789"
    for given_as in (text, text.encode().hex(), text.encode().hex().upper()):
        secret = Secret(given_as)
        assert exported_form("CP-1", secret, "plain").reveal() == text
        assert exported_form("CP-1", secret, "hex").reveal().lower() == text.encode().hex()
        assert key_fingerprint(given_as) == key_fingerprint(text)
    assert exported_form("CP-1", secret, "basic").reveal() == (
        "Basic Q1AtMTphYmNkZWZnaGlqMDEyMzQ1Njc4OQ=="
    )


def test_the_specifications_vector() -> None:
    # OCPP-J 1.6, 6.2.2
    key = Secret("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    basic = exported_form("AL1000", key, "basic").reveal()
    assert basic == "Basic QUwxMDAwOgABAgMEBQYH////////////////"
    with pytest.raises(ConfigError, match="no printable characters") as error:
        exported_form("AL1000", key, "plain")
    assert key.reveal() not in str(error.value)
