# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that answer a flashing host: the mask ROM's loader and the flasher stub."""
