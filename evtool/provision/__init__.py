# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities, keys and the NVS image that carries them."""
