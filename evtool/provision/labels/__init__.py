# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of units: a template in millimetres, drawn as SVG, PNG, PDF and ZPL."""
