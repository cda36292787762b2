# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sides of the wire: one script, played to a device and to the reference charge point, each
with its own vehicle, power module and central system; what went over the wire is compared.
"""
