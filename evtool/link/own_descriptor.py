# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal or a pipe by a descriptor of our own.

Whether reading and writing wait is a property of the opened file, which a program shares with
whoever started it: it may be changed only for one that was opened anew.
"""

from __future__ import annotations

import contextlib
import os
import stat


def own_descriptor(descriptor: int, access: int) -> int:
    """The same file by a descriptor that does not block, where that is possible; else a copy.

    Args:
        access: os.O_RDONLY or os.O_WRONLY.
    """
    flags = access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", flags)
    return os.dup(descriptor)
