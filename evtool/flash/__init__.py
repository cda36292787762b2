# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written where, and the proof that it arrived."""
