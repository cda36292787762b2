# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders secrets.h and the CAN tables."""
