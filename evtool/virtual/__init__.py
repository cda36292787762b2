# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardware that is not there: board, vehicle, power module, CSMS."""
