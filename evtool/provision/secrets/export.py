# SPDX-License-Identifier: GPL-3.0-or-later
"""An AuthorizationKey in the form that a central system asks for."""

from __future__ import annotations

from evtool.errors import ConfigError
from evtool.project import Secret
from evtool.protocol.authorization_key import key_as_hex
from evtool.protocol.ocpp16 import render_basic_authorization

FORMS = ("plain", "hex", "basic")


def exported_form(identity: str, key: Secret, form: str) -> Secret:
    """The key of `identity` as one of FORMS.

    plain: the characters (SteVe, Java-OCA-OCPP). hex: two digits for each byte (what the unit
    stores, and ChangeConfiguration sends). basic: the value of the Authorization header
    (OCPP-J 1.6, 6.2.2).

    Raises:
        ConfigError: the key is none, or has bytes that are no characters.
        ValueError: an unknown form.
    """
    try:
        digits = key_as_hex(key.reveal())
    except ValueError as error:
        raise ConfigError(f"{identity} authorization_key: {error}", fix="give another") from None
    data = bytes.fromhex(digits)
    if form == "hex":
        return Secret(digits)
    if form == "basic":
        return Secret(render_basic_authorization(identity, data))
    if form != "plain":
        raise ValueError(form)
    if any(not 0x20 <= byte <= 0x7E for byte in data):
        raise ConfigError(
            f"{identity} authorization_key: some of its bytes are no printable characters",
            fix="export it as hex or basic",
        )
    return Secret(data.decode("ascii"))
