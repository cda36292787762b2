# SPDX-License-Identifier: GPL-3.0-or-later
"""The chips that the virtual board can be built with, by name."""

from __future__ import annotations

from evtool.virtual.chips.description import Chip
from evtool.virtual.chips.esp32 import ESP32
from evtool.virtual.chips.esp32c3 import ESP32C3
from evtool.virtual.chips.esp32s3 import ESP32S3

CHIPS: dict[str, Chip] = {chip.name: chip for chip in (ESP32, ESP32S3, ESP32C3)}

__all__ = ["CHIPS", "ESP32", "ESP32C3", "ESP32S3", "Chip"]
