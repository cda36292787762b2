# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP32 images: our encoder against our decoder, and both against esptool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol import app_image, host_image
from evtool.protocol.app_image import AppDescription, AppImage, Segment
from evtool.protocol.can_frame import Malformed

# Addresses outside the mapped regions, whose last 16 bits the container does not dictate.
_ADDRESSES = st.integers(0x3FF80000, 0x400BFFFF)
_SEGMENTS = st.lists(
    st.builds(Segment, _ADDRESSES, st.binary(max_size=80).map(lambda b: b[: len(b) // 4 * 4])),
    max_size=app_image.MAX_SEGMENTS,
).map(tuple)
_U16 = st.integers(0, 0xFFFF)
_IMAGES = st.builds(
    AppImage,
    entry=st.integers(0, 0xFFFFFFFF),
    segments=_SEGMENTS,
    flash_mode=st.integers(0, 255),
    flash_frequency=st.integers(0, 15),
    flash_size=st.integers(0, 15),
    wp_pin=st.integers(0, 255),
    drive_strengths=st.binary(min_size=3, max_size=3),
    min_revision=st.integers(0, 255),
    min_revision_full=_U16,
    max_revision_full=_U16,
    reserved=st.binary(min_size=4, max_size=4),
    hash_appended=st.booleans(),
)


@given(_IMAGES, st.binary(max_size=40))
def test_what_is_encoded_is_decoded_whatever_stands_behind_it(image: AppImage, rest: bytes) -> None:
    encoded = app_image.encode(image)
    assert app_image.decode(encoded + rest) == image
    assert app_image.encoded_size(image) == len(encoded)
    assert len(encoded) % 16 == 0


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_an_image_or_malformed(data: bytes, is_close: bool) -> None:
    if is_close:  # the magic, and a segment or two
        data = bytes([app_image.MAGIC, len(data) % 3]) + data
    assert isinstance(app_image.decode(data), AppImage | Malformed)


@given(_IMAGES.filter(lambda image: image.hash_appended), st.data())
def test_no_flipped_bit_goes_unseen(image: AppImage, data: st.DataObject) -> None:
    encoded = bytearray(app_image.encode(image))
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    decoded = app_image.decode(bytes(encoded))
    # One bit says whether there is a hash at all; without it the rest must still be the same.
    if isinstance(decoded, AppImage):
        assert not decoded.hash_appended
        assert decoded.segments == image.segments


@given(_IMAGES, st.data())
def test_an_image_cut_short_is_malformed(image: AppImage, data: st.DataObject) -> None:
    encoded = app_image.encode(image)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    assert isinstance(app_image.decode(encoded[:cut]), Malformed)


def _broken(position: int, value: int) -> bytes:
    data = bytearray(app_image.encode(host_image.virtual_bootloader()))
    data[position] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff" * 64, "image at 0x10000 has invalid magic byte (nothing flashed here?)"),
        (_broken(12, 5), "mismatch chip ID, expected 0, found 5"),
        (_broken(1, 17), "image at 0x10000 segment count 17 exceeds max 16"),
        (_broken(28, 3), "invalid segment length 0x3"),
        (_broken(29, 9), "Image length 2364 doesn't fit in partition length 96"),
        (_broken(32, 0), "Checksum failed. Calculated 0xe7 read 0x82"),
        (_broken(95, 0), "Image hash failed - image is corrupt"),
        (
            app_image.encode(AppImage(0, (Segment(0x3F400000, b"data"),))),
            "Segment 0 load address 0x3f400000, doesn't match data 0x00010020",
        ),
    ],
)
def test_the_reason_is_the_boot_loaders(data: bytes, reason: str) -> None:
    assert app_image.decode(data, offset=0x10000) == Malformed(reason)


@pytest.mark.parametrize(
    "image",
    [
        AppImage(0, (Segment(0x3FFF0000, b"odd"),)),
        AppImage(0, tuple(Segment(0x3FFF0000, b"") for _ in range(17))),
        AppImage(1 << 32, ()),
        AppImage(0, (), chip_id=1 << 16),
    ],
)
def test_what_does_not_fit_is_not_encoded(image: AppImage) -> None:
    with pytest.raises(ValueError, match=r"must be|segments|fit"):
        app_image.encode(image)


_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=31)


@given(st.builds(AppDescription, _TEXT, _TEXT, elf_sha256=st.binary(min_size=32, max_size=32)))
def test_a_description_is_256_bytes_and_comes_back(description: AppDescription) -> None:
    encoded = app_image.encode_description(description)
    assert len(encoded) == app_image.DESCRIPTION_SIZE
    image = AppImage(0, (Segment(0x3FFF0000, encoded),))
    assert app_image.decode_description(image) == description


@pytest.mark.parametrize("text", ["x" * 32, "\N{DEGREE SIGN}C"])
def test_a_text_too_long_or_foreign_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own words for one of them
        app_image.encode_description(AppDescription(text, "x"))


def test_other_images_have_no_description() -> None:
    assert app_image.decode_description(host_image.virtual_bootloader()) is None
    assert app_image.decode_description(AppImage(0, ())) is None


# Trailing zeros are the hard case: they look like the padding.
@given(st.binary(max_size=300), st.integers(0, 5))
def test_a_program_comes_back_byte_for_byte(head: bytes, zeros: int) -> None:
    program = head + bytes(zeros)
    image = host_image.host_image(program, version="1.2.3+abcd", project_name="evcharger")
    decoded = app_image.decode(app_image.encode(image), offset=0x10000)
    assert isinstance(decoded, AppImage)
    assert host_image.payload(decoded) == program


def test_an_image_for_the_chip_has_no_program() -> None:
    assert host_image.payload(host_image.virtual_bootloader()) is None
    description = app_image.encode_description(AppDescription("1", "chip"))
    image = AppImage(
        0, (Segment(host_image.DESCRIPTION_ADDRESS, description), Segment(0x40080000, bytes(4)))
    )
    assert host_image.payload(image) is None


def _application(digest: bytes = bytes(32)) -> bytes:
    described = AppDescription("1", "chip", elf_sha256=digest)
    first = Segment(0x3F400020, app_image.encode_description(described) + b"rodata..")
    return app_image.encode(AppImage(0x40080000, (first, Segment(0x40080000, bytes(64)))))


def test_an_application_is_given_the_hash_of_its_elf_file(tmp_path: Path) -> None:
    digest = bytes(range(32))
    path = tmp_path / "firmware.bin"
    path.write_bytes(app_image.with_elf_sha256(_application(), digest))
    assert path.read_bytes() == _application(digest)
    text = _image_info(path)
    assert text.count("(valid)") == 2
    assert f"ELF file SHA256: {digest.hex()}" in text


@pytest.mark.parametrize(
    "data", [_application(b"\x01" * 32), b"", _application()[:-1], _application() + b"more"]
)
def test_what_names_one_or_is_no_plain_image_stays_as_it_is(data: bytes) -> None:
    assert app_image.with_elf_sha256(data, bytes(range(32))) == data


def _image_info(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "image-info", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_esptool_accepts_both_images(tmp_path: Path) -> None:
    image = host_image.host_image(b"\x7fELF" * 999, version="0.1.0+cafe", project_name="evcharger")
    app = tmp_path / "firmware.bin"
    app.write_bytes(app_image.encode(image))
    text = _image_info(app)
    assert "Detected image type: ESP32" in text
    assert "Project name: evcharger" in text
    assert "App version: 0.1.0+cafe" in text
    assert "0x3f800000" in text
    assert text.count("(valid)") == 2  # checksum and hash

    loader = tmp_path / "bootloader.bin"
    loader.write_bytes(app_image.encode(host_image.virtual_bootloader()))
    assert _image_info(loader).count("(valid)") == 2
