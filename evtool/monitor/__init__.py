# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial console: views, records, redaction."""
