# SPDX-License-Identifier: GPL-3.0-or-later
"""Many charge points at once, as a load on a central system: what each does, and when."""
