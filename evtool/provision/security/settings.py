# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields that flash encryption and secure boot burn, chip by chip, in their order.

Source: ESP-IDF, "Security Features Enablement Workflows", and the chips' Technical Reference
Manuals. The loader of a chip in development mode still encrypts for the host; in release mode it
does not, and JTAG is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.provision.security.burn import Kind, Stage

_LATER = ("esp32s3", "esp32c3")
_ALL = ("esp32", *_LATER)


@dataclass(frozen=True, slots=True)
class Setting:
    """A field to burn.

    Attributes:
        chips: that have it.
        encryption, boot: it belongs to flash encryption, to secure boot.
        release: only in release mode.
        value: 1, or all of its bits.
    """

    chips: tuple[str, ...]
    fuse: str
    why: str
    stage: Stage = Stage.LOCKS
    kind: Kind = Kind.FIELD
    encryption: bool = False
    boot: bool = False
    release: bool = False
    value: int = 1


SETTINGS = (
    Setting(
        ("esp32",),
        "FLASH_CRYPT_CONFIG",
        "the whole key is mixed with the address",
        Stage.KEYS,
        encryption=True,
        value=0xF,
    ),
    Setting(("esp32",), "ABS_DONE_1", "secure boot on", Stage.SWITCHES, boot=True),
    Setting(_LATER, "SECURE_BOOT_EN", "secure boot on", Stage.SWITCHES, boot=True),
    Setting(("esp32",), "DISABLE_DL_DECRYPT", "the loader decrypts for nobody", encryption=True),
    Setting(("esp32",), "DISABLE_DL_CACHE", "the loader has no cache", encryption=True),
    Setting(_LATER, "DIS_DOWNLOAD_ICACHE", "the loader has no cache", encryption=True),
    Setting(("esp32s3",), "DIS_DOWNLOAD_DCACHE", "the loader has no cache", encryption=True),
    Setting(
        _LATER,
        "DIS_DIRECT_BOOT",
        "nothing starts past the boot loader",
        encryption=True,
        boot=True,
    ),
    Setting(
        ("esp32",),
        "DISABLE_DL_ENCRYPT",
        "the loader encrypts for nobody",
        encryption=True,
        release=True,
    ),
    Setting(
        _LATER,
        "DIS_DOWNLOAD_MANUAL_ENCRYPT",
        "the loader encrypts for nobody",
        encryption=True,
        release=True,
    ),
    Setting(("esp32",), "JTAG_DISABLE", "no JTAG", encryption=True, boot=True, release=True),
    Setting(_LATER, "DIS_PAD_JTAG", "no JTAG at pins", encryption=True, boot=True, release=True),
    Setting(_LATER, "DIS_USB_JTAG", "no JTAG over USB", encryption=True, boot=True, release=True),
    Setting(
        ("esp32",),
        "DIS_CACHE",
        "what was not burned here stays so",
        kind=Kind.WRITE_PROTECT,
        encryption=True,
        release=True,
    ),
    Setting(
        _LATER,
        "DIS_ICACHE",
        "what was not burned here stays so",
        kind=Kind.WRITE_PROTECT,
        encryption=True,
        release=True,
    ),
    Setting(
        _ALL,
        "RD_DIS",
        "nobody hides the digests from secure boot",
        kind=Kind.WRITE_PROTECT,
        boot=True,
        release=True,
    ),
)

LOADER = {
    "esp32": Setting(("esp32",), "UART_DOWNLOAD_DIS", "no serial loader at all", Stage.LOADER),
    "esp32s3": Setting(_LATER, "ENABLE_SECURITY_DOWNLOAD", "a few commands only", Stage.LOADER),
    "esp32c3": Setting(_LATER, "ENABLE_SECURITY_DOWNLOAD", "a few commands only", Stage.LOADER),
}
