# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the firmware with PlatformIO, with or without a registry."""
