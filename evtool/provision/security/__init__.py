# SPDX-License-Identifier: GPL-3.0-or-later
"""Flash encryption and secure boot: what is burned, shown first; keys kept first; then a unit."""
