# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a label: variables, and the texts that phones read from a QR code.

`{name}` stands for a variable, `{name:url}` for it percent-encoded (RFC 3986), `{name:compact}`
for it without colons and blanks (a MAC address), `{{` and `}}` for braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FORMS = ("url", "compact")
_WIFI_SPECIAL = re.compile(r'([\\;,":])')

_UNKNOWN = {"mac": " before the unit is provisioned"}


@dataclass(frozen=True, slots=True)
class LabelUnit:
    """A unit, as far as its label goes.

    Attributes:
        identity: its OCPP identity; also what messages call it.
        values: of the variables; "" is a value that is not known yet.
        secret: the variables whose values nobody but the label's reader may see.
    """

    identity: str
    values: Mapping[str, str] = field(repr=False)
    secret: frozenset[str] = frozenset({"wifi"})


def variables_of(text: str) -> set[str]:
    """The names that a template's text uses.

    Raises:
        ValueError: a brace stands alone, or a form is unknown.
    """
    return {name for name, _ in _variables(text)}


def fill(text: str, unit: LabelUnit) -> str:
    """The text for one unit.

    Raises:
        ValueError: a variable is unknown, or its value is; the value is never in the message.
    """

    def value(found: re.Match[str]) -> str:
        if found.group() in ("{{", "}}"):
            return found.group()[0]
        name, form = _named(found)
        if name not in unit.values:
            known = ", ".join(sorted(unit.values))
            raise ValueError(f"{{{name}}} is none of its variables: {known}")
        given = unit.values[name]
        if not given:
            raise ValueError(f"{{{name}}} has no value{_UNKNOWN.get(name, '')}")
        if form == "url":
            return quote(given, safe="")
        return re.sub(r"[:\s]", "", given) if form == "compact" else given

    return _PART.sub(value, text)


def wifi_text(ssid: str, passphrase: str, *, hidden: bool = False) -> str:
    """What joins a WPA2 or WPA3 network where a phone reads it: `WIFI:T:WPA;S:...;P:...;;`.

    The form is ZXing's; `nopass` without a passphrase.
    """
    kind = "WPA" if passphrase else "nopass"
    secret = f"P:{_escape_wifi(passphrase)};" if passphrase else ""
    return f"WIFI:T:{kind};S:{_escape_wifi(ssid)};{secret}{'H:true;' if hidden else ''};"


def _escape_wifi(text: str) -> str:
    return _WIFI_SPECIAL.sub(r"\\\1", text)


def _variables(text: str) -> list[tuple[str, str]]:
    return [_named(found) for found in _PART.finditer(text) if found.group() not in ("{{", "}}")]


def _named(found: re.Match[str]) -> tuple[str, str]:
    if found.group(1) is None:
        raise ValueError(f"`{found.group()}` stands alone; a brace itself is written twice")
    name, colon, form = found.group(1).partition(":")
    if colon and form not in _FORMS:
        raise ValueError(f"{{{found.group(1)}}}: the form is none of {', '.join(_FORMS)}")
    return name, form
