# SPDX-License-Identifier: GPL-3.0-or-later
"""A rack of boards, flashed at once: what is written to each, again or not, and the report."""
