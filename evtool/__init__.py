# SPDX-License-Identifier: GPL-3.0-or-later
"""evtool: takes an ESP32 EV charge-point controller from source to a commissioned unit."""

__version__ = "0.1.0"
