# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios run on two controllers and compared step by step."""
