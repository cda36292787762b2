# SPDX-License-Identifier: GPL-3.0-or-later
"""The only package that opens anything: serial, CAN, WebSocket, processes, files, clock."""
