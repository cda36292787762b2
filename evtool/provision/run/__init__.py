# SPDX-License-Identifier: GPL-3.0-or-later
"""The run over a fleet's boards: which unit each one becomes, its image, the proof, the record."""
