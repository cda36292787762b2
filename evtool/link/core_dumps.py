# SPDX-License-Identifier: GPL-3.0-or-later
"""No core dump of a process that holds secrets: its memory would be a file on the disk."""

from __future__ import annotations

import resource

# Linux hands a dump to a program, such as a crash reporter, whatever the limit is; but for this
# one, which it takes for a crash within such a program. A file of one byte is none either.
_NONE = 1


def forbid_core_dumps() -> None:
    """For this process and those that it starts; what cannot be lowered stays as it is."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard != 0:
        resource.setrlimit(resource.RLIMIT_CORE, (_NONE, _NONE))
