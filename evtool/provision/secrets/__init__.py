# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets at rest: sealed, compared by fingerprint, handed out in a form that was asked for."""
