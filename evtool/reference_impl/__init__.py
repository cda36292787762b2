# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller in Python: the oracle that the firmware is compared with."""
