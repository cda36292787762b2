# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as it is written down: rows, template and variables, checked as a whole."""
