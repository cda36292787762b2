# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads as a log may show them: no keys, no passwords and no queries within URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evtool.protocol import ocpp16

_URLS: Mapping[str, tuple[str, ...]] = {
    "UpdateFirmware": ("location",),
    "GetDiagnostics": ("location",),
    "GetLog": ("log", "remoteLocation"),
    "SignedUpdateFirmware": ("firmware", "location"),
}
# Up to the last @: a password may hold any character, `/` and `@` too, where its station does not
# insist on percent-encoding. An @ in a path costs the log a host's name at worst.
_CREDENTIALS = re.compile(r"(?<=://).*@", re.DOTALL)
_QUERY = re.compile(r"(?<=[?#]).+", re.DOTALL)


def shown(action: str, payload: ocpp16.Payload) -> ocpp16.Payload:
    """`payload` of an action's request or answer, without secrets."""
    way = _URLS.get(action)
    if way is None:
        return ocpp16.masked(action, payload)
    return _without_credentials(payload, way)


def _without_credentials(payload: ocpp16.Payload, way: tuple[str, ...]) -> ocpp16.Payload:
    value: Any = payload.get(way[0])
    if isinstance(value, str):
        return payload | {way[0]: _QUERY.sub("****", _CREDENTIALS.sub("****@", value))}
    if isinstance(value, dict) and len(way) > 1:
        return payload | {way[0]: _without_credentials(value, way[1:])}
    return payload
