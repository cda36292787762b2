# SPDX-License-Identifier: GPL-3.0-or-later
"""Wire formats: bytes to values and back. No I/O, no clock."""
