# SPDX-License-Identifier: GPL-3.0-or-later
"""The ciphers between a chip and its flash.

ESP32: AES-256, used the wrong way round (decrypting makes the ciphertext), on blocks of 16
bytes in reversed order, with a key of its own for every 32 bytes: FLASH_CRYPT_CONFIG chooses
which quarters of the key are mixed with the address. Later chips: XTS-AES with 128-byte units,
each reversed as a whole. Source: Technical Reference Manuals, "Flash Encryption" and "External
Memory Encryption and Decryption".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

XTS_UNIT = 0x80
_BLOCK = 16
_TWEAKED = 32
_KEY_BYTES = 32
# Each bit of the key is mixed with one of the address's bits 23 to 5. They follow each other
# downwards, three times over and a last time from 14, 12, 10 or 8: so far a quarter goes.
_HIGHEST, _LOWEST = 23, 5
_QUARTERS = tuple(
    (*range(_HIGHEST, _LOWEST - 1, -1),) * 3 + (*range(14 - 2 * quarter, _LOWEST - 1, -1),)
    for quarter in range(4)
)


class FlashCipher(ABC):
    """A cipher with its key.

    `alignment` is how many bytes, at an address that is a multiple of it, go together.
    """

    alignment: int

    def encrypt(self, address: int, data: bytes) -> bytes:
        """What stands in flash at `address` for `data`; both are multiples of `alignment`."""
        return self._run(address, data, encrypt=True)

    def decrypt(self, address: int, data: bytes) -> bytes:
        """What the processor sees of `data` at `address`."""
        return self._run(address, data, encrypt=False)

    @abstractmethod
    def _run(self, address: int, data: bytes, *, encrypt: bool) -> bytes: ...


class Esp32Cipher(FlashCipher):
    """The ESP32's own scheme.

    Args:
        key: 32 bytes as in the fuses; 24 with the 3/4 coding.
        config: FLASH_CRYPT_CONFIG, 4 bits.
    """

    alignment = _TWEAKED

    def __init__(self, key: bytes, config: int) -> None:
        straight = key[::-1]
        if len(straight) < _KEY_BYTES:
            straight += straight[8:16]
        self._key = int.from_bytes(straight, "big")
        self._config = config

    def _run(self, address: int, data: bytes, *, encrypt: bool) -> bytes:
        parts = []
        for start in range(0, len(data), _TWEAKED):
            tweak = _key_tweak((address + start) // _TWEAKED, self._config)
            key = (self._key ^ tweak).to_bytes(_KEY_BYTES, "big")
            cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - what the chip does
            engine = cipher.decryptor() if encrypt else cipher.encryptor()
            for inner in range(start, min(start + _TWEAKED, len(data)), _BLOCK):
                parts.append(engine.update(data[inner : inner + _BLOCK][::-1])[::-1])
        return b"".join(parts)


class XtsCipher(FlashCipher):
    """XTS-AES of the later chips.

    Args:
        key: 32 bytes (XTS-AES-128) or 64, in the order of the key's file.
    """

    alignment = _BLOCK

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _run(self, address: int, data: bytes, *, encrypt: bool) -> bytes:
        lead = address % XTS_UNIT
        whole = bytes(lead) + data
        whole += bytes(-len(whole) % XTS_UNIT)
        parts = []
        for start in range(0, len(whole), XTS_UNIT):
            tweak = (address - lead + start).to_bytes(16, "little")
            cipher = Cipher(algorithms.AES(self._key), modes.XTS(tweak))
            engine = cipher.encryptor() if encrypt else cipher.decryptor()
            parts.append(engine.update(whole[start : start + XTS_UNIT][::-1])[::-1])
        return b"".join(parts)[lead : lead + len(data)]


@lru_cache(maxsize=16)
def _key_masks(config: int) -> tuple[int, ...]:
    """For each address bit from 5 on, the bits of the key that it turns."""
    masks = [0] * (_HIGHEST - _LOWEST + 1)
    position = 8 * _KEY_BYTES - 1
    for quarter, address_bits in enumerate(_QUARTERS):
        for bit in address_bits:
            if config >> quarter & 1:
                masks[bit - _LOWEST] |= 1 << position
            position -= 1
    return tuple(masks)


def _key_tweak(block: int, config: int) -> int:
    tweak = 0
    for index, mask in enumerate(_key_masks(config)):
        if block >> index & 1:
            tweak |= mask
    return tweak


def host_cipher(chip: str, key: bytes) -> FlashCipher:
    """The cipher of a chip into which espefuse has burned `key`, with all of FLASH_CRYPT_CONFIG.

    Args:
        chip: as esptool names it.
        key: 32 bytes, in the order of the key's file.
    """
    return Esp32Cipher(key[::-1], 0xF) if chip == "esp32" else XtsCipher(key)
