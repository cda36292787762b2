# SPDX-License-Identifier: GPL-3.0-or-later
"""The security extensions of OCPP 1.6J (whitepaper "Improved security", edition 2)."""
