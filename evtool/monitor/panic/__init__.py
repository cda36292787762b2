# SPDX-License-Identifier: GPL-3.0-or-later
"""Breakdowns of the program on the board: their texts, reset reasons, backtraces, ELF files."""
