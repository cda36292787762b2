# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of a fleet's CSV file, which are also the keys of its template and its units."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from evtool.provision.fleet.order import AUTHORIZATION_KEY, CLIENT_KEY, WIFI_PASSPHRASE


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a unit.

    Attributes:
        kind: `text`; `secret` (a reference); `path` (a file's name); `integer`; `flag`.
        default: where neither row nor template nor project says anything; None: required.
            "" is nothing at all.
    """

    name: str
    kind: str = "text"
    default: str | None = None


COLUMNS = {
    column.name: column
    for column in (
        Column("identity"),
        Column("serial_number"),
        Column("vendor"),
        Column("model"),
        Column("local_id_tag", default="LOCAL"),
        Column("wifi_ssid"),
        Column(WIFI_PASSPHRASE, "secret"),
        Column("csms_url"),
        Column(AUTHORIZATION_KEY, "secret"),
        Column("security_profile", "integer", "1"),
        Column("ca_certificate", "path", ""),
        Column("client_certificate", "path", ""),
        Column(CLIENT_KEY, "secret", ""),
        Column("mac", default=""),
        Column("flash_encryption", "flag", "false"),
    )
}
# Short for what people type most.
ALIASES = {"serial": "serial_number", "ssid": "wifi_ssid", "passphrase": WIFI_PASSPHRASE}
# Counted by evtool: the number of the unit in its file, from 1.
NUMBER = "n"


def column_of(name: str) -> str:
    """The column that `name` or its short form stands for, or `name` itself."""
    return ALIASES.get(name, name)


def meant(name: str, known: Iterable[str]) -> str:
    """`; is NAME meant?` where a known name is near, else nothing."""
    plain = name.strip().casefold().replace(" ", "_").replace("-", "_")
    near = difflib.get_close_matches(plain, [*known, *ALIASES], n=1, cutoff=0.75)
    return f"; is {near[0]} meant?" if near else ""
