# SPDX-License-Identifier: GPL-3.0-or-later
"""What burned fuses do to a board: secure boot, flash encryption, a loader that is gone."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import pytest
from board_fuses import KEY, encrypting, fuses_of
from board_images import APP0, PARTITIONS, application, flash_image, parts
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from machine_bench import MAC, SYNC, Bench
from signed_images import key_digest, padded, signed, signing_key

from evtool.protocol.esp_loader import Op, block_checksum
from evtool.protocol.flash_cipher import FlashCipher, XtsCipher
from evtool.protocol.partition_table import APP
from evtool.virtual.board import Mode
from evtool.virtual.chips import CHIPS, ESP32, ESP32C3, ESP32S3, Chip
from evtool.virtual.chips.description import Field
from evtool.virtual.flash_encryption import flash_cipher
from evtool.virtual.fuses import Fuses, factory_bits

OTHER_KEY = bytes(range(99, 131))
chips = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
later_chips = pytest.mark.parametrize("chip", [ESP32S3, ESP32C3], ids=["esp32s3", "esp32c3"])


def secured(chip: Chip, digest: bytes, *more: tuple[Field | None, int]) -> Fuses:
    """A chip that trusts one key."""
    security = chip.security
    if not security.key_purposes:
        return fuses_of(chip, (security.secure_boot, 1), *more, block2=digest)
    return fuses_of(
        chip, (security.secure_boot, 1), (security.key_purposes[2], 9), *more, block6=digest
    )


def signed_parts(chip: Chip, sign: Callable[[bytes], bytes]) -> dict[int, bytes]:
    """Boot loader and application signed."""
    contents = parts(chip=chip)
    for offset in (chip.bootloader_offset, APP0):
        contents[offset] = sign(contents[offset])
    return contents


def start(chip: Chip, contents: dict[int, bytes], fuses: Fuses) -> Bench:
    return Bench(flash_image(contents), chip, fuses).start()


def failure(bench: Bench) -> str:
    return str(bench.reports("boot_failed")[-1]["reason"])


@chips
def test_every_chip_boots_its_own_image_and_no_others(chip: Chip) -> None:
    bench = Bench(flash_image(parts(chip=chip)), chip).start()
    assert bench.mode() is Mode.APP
    assert chip.rom.head in bench.console()
    assert f"boot.{chip.name}: SPI Speed" in bench.console()
    other = ESP32C3 if chip is not ESP32C3 else ESP32
    contents = parts(chip=chip) | {APP0: application(chip=other)}
    wrong = Bench(flash_image(contents), chip).start()
    assert f"mismatch chip ID, expected {chip.image_chip_id}" in wrong.console()


@chips
def test_secure_boot_starts_what_a_trusted_key_signed(chip: Chip) -> None:
    key = signing_key()
    contents = signed_parts(chip, lambda image: signed(image, signing_key(1), key))
    bench = start(chip, contents, secured(chip, key_digest(key)))
    assert bench.mode() is Mode.APP
    assert "Signature verified successfully!" in bench.console()


@chips
def test_secure_boot_refuses_what_nobody_or_somebody_else_signed(chip: Chip) -> None:
    key = signing_key()
    fuses = secured(chip, key_digest(key))
    bench = start(chip, parts(chip=chip), fuses)
    assert "no signature block" in failure(bench)
    assert "secure boot verification failed" in bench.console()
    other = start(chip, signed_parts(chip, lambda image: signed(image, signing_key(1))), fuses)
    assert "does not trust" in failure(other)


@chips
def test_secure_boot_refuses_a_changed_image(chip: Chip) -> None:
    key = signing_key()
    contents = signed_parts(chip, lambda image: signed(image, key))
    good = contents[APP0]
    # In the padding, where the image's own checksum does not look.
    length = len(application(chip=chip))
    assert length < len(padded(good)) - 0x1000
    contents[APP0] = good[:length] + b"\0" + good[length + 1 :]
    bench = start(chip, contents, secured(chip, key_digest(key)))
    assert "for another image" in failure(bench)
    assert "Secure boot V2 verification failed." in bench.console()


@later_chips
def test_a_revoked_key_signs_in_vain(chip: Chip) -> None:
    key = signing_key()
    contents = signed_parts(chip, lambda image: signed(image, key))
    bench = start(chip, contents, secured(chip, key_digest(key), (chip.security.revoked[0], 1)))
    assert "no secure boot key is burned, or all are revoked" in failure(bench)


def test_version_1_asks_for_the_digest_at_the_start_of_flash() -> None:
    contents = parts()
    image = contents[ESP32.bootloader_offset]
    body = image[: len(image) - 32]
    # The appended hash stands where the last block of 128 bytes reads on.
    whole = image + b"\xff" * 128
    text = bytes(range(128)) + whole[: len(body) + -len(body) % 128]
    engine = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()  # noqa: S305 - the chip's way
    digest = hashlib.sha512()
    for at in range(0, len(text), 16):
        block = engine.update(text[at : at + 16][::-1])[::-1]
        digest.update(b"".join(block[w : w + 4][::-1] for w in range(0, 16, 4)))
    words = digest.digest()
    stored = b"".join(words[w : w + 4][::-1] for w in range(0, 64, 4))
    fuses = fuses_of(ESP32, (ESP32.security.secure_boot_v1, 1), block2=KEY[::-1])
    assert start(ESP32, contents | {0: text[:128] + stored}, fuses).mode() is Mode.APP
    bench = start(ESP32, contents | {0: text[:128] + stored[::-1]}, fuses)
    assert "digest does not match" in failure(bench)


def encrypted(contents: dict[int, bytes], cipher: FlashCipher) -> dict[int, bytes]:
    """What stands in flash: all but the plain partitions."""
    plain = {part.offset for part in PARTITIONS if part.type != APP}
    return {
        offset: data
        if offset in plain
        else cipher.encrypt(offset, data + bytes(-len(data) % cipher.alignment))
        for offset, data in contents.items()
    }


@chips
def test_an_encrypting_chip_boots_ciphertext_only(chip: Chip) -> None:
    fuses = encrypting(chip)
    cipher = flash_cipher(chip, fuses)
    assert cipher is not None
    bench = start(chip, encrypted(parts(chip=chip), cipher), fuses)
    assert bench.mode() is Mode.APP
    assert bench.apps()[0].identity["cp_id"] == "CP-0001"
    plain = start(chip, parts(chip=chip), fuses)
    assert "no boot loader" in failure(plain)
    assert "invalid header" in plain.console()


@chips
def test_a_second_bit_switches_encryption_off_again(chip: Chip) -> None:
    fuses = encrypting(chip)
    fuses.burn(0, (2 << chip.security.flash_encryption.start).to_bytes(32, "little"))
    assert start(chip, parts(chip=chip), fuses).mode() is Mode.APP


def test_two_keys_make_xts_aes_256() -> None:
    purposes = ESP32S3.security.key_purposes
    fuses = fuses_of(ESP32S3, (purposes[1], 2), (purposes[3], 3), block5=KEY, block7=OTHER_KEY)
    cipher = flash_cipher(ESP32S3, fuses)
    expected = XtsCipher(KEY[::-1] + OTHER_KEY[::-1])
    assert cipher is not None
    assert cipher.encrypt(0x1000, bytes(64)) == expected.encrypt(0x1000, bytes(64))
    assert flash_cipher(ESP32C3, fuses_of(ESP32C3)) is None


@chips
def test_the_loader_encrypts_for_the_host_unless_a_fuse_forbids_it(chip: Chip) -> None:
    data = bytes(range(256)) * 4
    fuses = encrypting(chip)
    cipher = flash_cipher(chip, fuses)
    assert cipher is not None
    bench = Bench(flash_image({}), chip, fuses).start()
    run_stub(bench)
    begin = struct.pack("<5I", len(data), 1, 0x4000, 0x8000, 1)
    block = struct.pack("<4I", len(data), 0, 0, 0) + data
    assert bench.request(Op.FLASH_BEGIN, begin)[-2:] == b"\0\0"
    assert bench.request(Op.FLASH_DATA, block, block_checksum(data))[-2:] == b"\0\0"
    assert bench.flash.read(0x8000, len(data)) == cipher.encrypt(0x8000, data)
    fuses.burn(0, (1 << chip.security.no_manual_encryption.start).to_bytes(32, "little"))
    # What is burned counts from the next reset on.
    bench.start()
    run_stub(bench)
    assert bench.request(Op.FLASH_BEGIN, begin)[-2] == 1


def run_stub(bench: Bench) -> None:
    """Load something that greets as a stub does, and start it."""
    bench.serial(SYNC)
    code = b"\x12\x34OHAI"
    bench.request(Op.MEM_BEGIN, struct.pack("<4I", len(code), 1, 0x1800, 0x40380000))
    bench.request(Op.MEM_DATA, struct.pack("<4I", len(code), 0, 0, 0) + code, block_checksum(code))
    assert bench.request(Op.MEM_END, struct.pack("<2I", 0, 0x40380000)) == b"OHAI"


@chips
def test_a_chip_without_a_loader_answers_nobody(chip: Chip) -> None:
    bench = Bench(flash_image({}), chip, fuses_of(chip, (chip.security.no_download, 1))).start()
    bench.effects.clear()
    bench.serial(SYNC)
    assert bench.sent() == b""
    assert bench.mode() is Mode.LOST


@chips
def test_only_an_esp32_loader_outlives_the_fuse_that_takes_it_away(chip: Chip) -> None:
    fuses = Fuses(chip, factory_bits(chip, MAC))
    bench = Bench(flash_image({}), chip, fuses).start()
    bench.serial(SYNC)
    fuses.burn(0, (1 << chip.security.no_download.start).to_bytes(32, "little"))
    layout = chip.fuses

    def write(offset: int, value: int) -> bytes:
        words = struct.pack("<4I", layout.base + offset, value, 0xFFFFFFFF, 0)
        return bench.request(Op.WRITE_REG, words)

    write(layout.configuration, 0x5AA5)
    write(layout.command, 1)
    answer = bench.request(Op.READ_REG, struct.pack("<I", layout.base))
    if chip is ESP32:
        # espefuse compares what it has burned before it leaves the chip alone.
        assert int.from_bytes(answer[4:8], "little") == 1 << chip.security.no_download.start
    else:
        assert answer == b""
    bench.start()
    bench.effects.clear()
    bench.serial(SYNC)
    assert bench.sent() == b""
    assert bench.mode() is Mode.LOST


@later_chips
def test_secure_download_mode_leaves_a_few_commands(chip: Chip) -> None:
    bench = Bench(flash_image({}), chip, fuses_of(chip, (chip.security.secure_download, 1)))
    bench.start().serial(SYNC)
    info = bench.request(Op.GET_SECURITY_INFO)
    flags, counter = struct.unpack_from("<IB", info, 8)
    assert (flags, counter) == (1 << 2, 0)
    assert struct.unpack_from("<I", info, 8 + 12)[0] == chip.image_chip_id
    for op in (Op.READ_REG, Op.WRITE_REG, Op.MEM_BEGIN, Op.READ_FLASH_SLOW, Op.SPI_FLASH_MD5):
        assert bench.request(op, bytes(16))[8:10] == b"\x01\x05"
    assert bench.request(Op.SPI_ATTACH, bytes(8))[-4:-2] == b"\0\0"
    begin = struct.pack("<5I", 4, 1, 4, 0x1000, 0)
    assert bench.request(Op.FLASH_BEGIN, begin)[-4:-2] == b"\0\0"
    data = b"data"
    block = struct.pack("<4I", 4, 0, 0, 0) + data
    assert bench.request(Op.FLASH_DATA, block, block_checksum(data))[-4:-2] == b"\0\0"
    assert bench.flash.read(0x1000, 4) == data


@later_chips
def test_a_loader_goes_by_a_fuse_from_the_moment_that_it_reads_it(chip: Chip) -> None:
    bench = Bench(flash_image({}), chip).start()
    bench.serial(SYNC)
    field = chip.security.secure_download
    assert field is not None
    layout = chip.fuses

    def write(offset: int, value: int) -> bytes:
        words = struct.pack("<4I", layout.base + offset, value, 0xFFFFFFFF, 0)
        return bench.request(Op.WRITE_REG, words)

    for index in range(6):
        write(4 * index, field.mask >> 32 * index & 0xFFFFFFFF)
    write(layout.configuration, 0x5A5A)
    write(layout.command, 2)
    # Burned and not read yet: registers can still be read.
    assert bench.request(Op.READ_REG, struct.pack("<I", layout.base))[-4:-2] == b"\0\0"
    write(layout.configuration, 0x5AA5)
    assert write(layout.command, 1) == b""
    assert bench.request(Op.READ_REG, struct.pack("<I", layout.base))[8:10] == b"\x01\x05"
    assert bench.request(Op.GET_SECURITY_INFO)[8] == 1 << 2


@chips
def test_the_esp32s3_starts_a_stub_by_the_hook_that_hosts_use(chip: Chip) -> None:
    bench = Bench(flash_image({}), chip).start()
    bench.serial(SYNC)
    code = b"\x12\x34OHAI"
    bench.request(Op.MEM_BEGIN, struct.pack("<4I", len(code), 1, 0x1800, 0x40378000))
    bench.request(Op.MEM_DATA, struct.pack("<4I", len(code), 0, 0, 0) + code, block_checksum(code))
    bench.request(Op.MEM_END, struct.pack("<2I", 1, 0))
    hook = ESP32S3.read_hook or 0
    bench.request(Op.WRITE_REG, struct.pack("<4I", hook, 0x40378000, 0xFFFFFFFF, 0))
    answer = bench.request(Op.READ_FLASH_SLOW, bytes(8))
    assert (answer == b"OHAI") == (chip is ESP32S3)


@later_chips
def test_a_watchdog_that_was_armed_resets_the_chip_out_of_its_loader(chip: Chip) -> None:
    bench = Bench(flash_image({}), chip).start()
    bench.serial(SYNC)
    address = chip.watchdog or 0
    bench.request(Op.WRITE_REG, struct.pack("<4I", address, 0xD0000102, 0xFFFFFFFF, 0))
    assert bench.mode() is Mode.ROM
    bench.wait(20).wait(50)
    assert "RTCWDT_RTC_RST" in bench.console()
    assert bench.mode() is Mode.HALTED
