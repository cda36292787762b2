# SPDX-License-Identifier: GPL-3.0-or-later
"""How many files and sockets this process may have open at a time."""

from __future__ import annotations

import resource

from evtool.errors import ConfigError

_OTHERS = 64  # standard streams, the event loop, files of a moment

_MANY = 65_536


def allow_open_sockets(count: int) -> None:
    """Raise this process's own limit where `count` sockets need it.

    Raises:
        ConfigError: the limit of the system or the session is lower than that.
    """
    needed = count + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{count} connections need {needed} open files; the limit (ulimit -Hn) is {hard}",
            fix=f"raise the hard limit (as root: ulimit -Hn {needed}), or share the connections "
            "among several processes",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def allow_many_sockets() -> None:
    """Raise this process's own limit as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (hard, resource.RLIM_INFINITY):
        wanted = _MANY if hard == resource.RLIM_INFINITY else min(hard, _MANY)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
