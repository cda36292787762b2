# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool --help` as click renders it, 80 columns wide; `make generate` writes this file."""

HELP = ""
