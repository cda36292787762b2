# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fleet stands, from its ledger: a row per unit, totals, and a page to hand on."""
