# SPDX-License-Identifier: GPL-3.0-or-later
"""The clocks: everything below `link` is handed the time as an argument."""

from __future__ import annotations

import time


def monotonic_ms() -> int:
    """Milliseconds that only grow; for ages, periods and time limits."""
    return time.monotonic_ns() // 1_000_000


def unix_ms() -> int:
    """Milliseconds since 1970-01-01T00:00:00Z; for the timestamps of messages."""
    return time.time_ns() // 1_000_000


def monotonic_us() -> int:
    """The same clock in whole microseconds."""
    return time.monotonic_ns() // 1_000
