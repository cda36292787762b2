# SPDX-License-Identifier: GPL-3.0-or-later
"""The quantities over time as a page (HTML) and as a picture (PNG)."""
