# SPDX-License-Identifier: Apache-2.0
"""The development platform `host`: the computer itself, with its own g++."""

from platformio.public import PlatformBase


class HostPlatform(PlatformBase):
    """Needs no package: everything is in builder/main.py."""
