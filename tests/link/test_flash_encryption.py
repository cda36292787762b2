# SPDX-License-Identifier: GPL-3.0-or-later
"""The chips' ciphers against espsecure, which Espressif's users encrypt with."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.flash_cipher import Esp32Cipher, FlashCipher, XtsCipher

KEY = bytes(range(0x40, 0x80))
esp32_configs = pytest.mark.parametrize("config", [0x0, 0x3, 0x9, 0xC, 0xF])


def noise(seed: int, count: int) -> bytes:
    """So many bytes, always the same for a seed."""
    return random.Random(seed).randbytes(count)  # noqa: S311 - test data


def espsecure(folder: Path, address: int, key: bytes, data: bytes, *options: str) -> bytes:
    """What `espsecure encrypt-flash-data` makes of `data`."""
    (folder / "key.bin").write_bytes(key)
    (folder / "plain.bin").write_bytes(data)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "espsecure", "encrypt-flash-data"),
            *("--keyfile", str(folder / "key.bin"), "--address", hex(address)),
            *("--output", str(folder / "cipher.bin"), *options, str(folder / "plain.bin")),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "cipher.bin").read_bytes()


@esp32_configs
def test_the_esp32_encrypts_as_espsecure_does(tmp_path: Path, config: int) -> None:
    data = noise(config, 4096)
    address = 0xA51000
    expected = espsecure(tmp_path, address, KEY[:32], data, "--flash-crypt-conf", hex(config))
    assert Esp32Cipher(KEY[31::-1], config).encrypt(address, data) == expected


def test_a_key_of_24_bytes_is_stretched_as_by_the_hardware(tmp_path: Path) -> None:
    data = noise(24, 1024)
    expected = espsecure(tmp_path, 0x1000, KEY[:24], data, "--flash-crypt-conf", "0xF")
    assert Esp32Cipher(KEY[23::-1], 0xF).encrypt(0x1000, data) == expected


@pytest.mark.parametrize("size", [32, 64])
def test_later_chips_encrypt_as_espsecure_does(tmp_path: Path, size: int) -> None:
    data = noise(size, 4096)
    expected = espsecure(tmp_path, 0x123450, KEY[:size], data, "--aes-xts")
    assert XtsCipher(KEY[:size]).encrypt(0x123450, data) == expected


@pytest.mark.parametrize(
    "cipher", [Esp32Cipher(KEY[:32], 0xF), XtsCipher(KEY[:32]), XtsCipher(KEY)]
)
@given(unit=st.integers(0, 0x3FFFF), data=st.binary(max_size=300))
def test_decrypting_gives_back_what_was_encrypted(
    cipher: FlashCipher, unit: int, data: bytes
) -> None:
    data = data[: len(data) - len(data) % cipher.alignment]
    address = unit * cipher.alignment
    assert cipher.decrypt(address, cipher.encrypt(address, data)) == data


@pytest.mark.parametrize("cipher", [Esp32Cipher(KEY[:32], 0xF), XtsCipher(KEY[:32])])
@given(units=st.lists(st.integers(1, 5), max_size=5))
def test_it_does_not_matter_in_which_pieces_flash_is_written(
    cipher: FlashCipher, units: list[int]
) -> None:
    data = noise(1, sum(units) * cipher.alignment)
    whole = cipher.encrypt(0x2000, data)
    position = 0
    pieces = b""
    for count in units:
        length = count * cipher.alignment
        pieces += cipher.encrypt(0x2000 + position, data[position : position + length])
        position += length
    assert pieces == whole
