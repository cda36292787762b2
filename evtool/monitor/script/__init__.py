# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of the monitor: a line language, its steps, and their run, all without a port."""
