# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders secrets.h. Pure: the secrets come in, the text goes out, nothing is kept.

Whether they are ones that a unit may carry is the business of `evtool.provision.identity`.
Here the text becomes C++ that means exactly that text, whatever it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from evtool.codegen.cpp_text import cpp_string
from evtool.codegen.template import render
from evtool.errors import ConfigError
from evtool.project import ChargePoint, Secret
from evtool.protocol.csms_url import charge_point_url, endpoint_url, parse_csms_url


@dataclass(frozen=True, slots=True)
class SecretsInput:
    """Everything that secrets.h holds.

    Attributes:
        wifi_passphrase: empty for an open network.
        csms_url: ws:// or wss://; with or without the identity at its end.
        authorization_key: hex digits, or empty.
        ca_certificate: the CSMS's root, PEM, or empty.
        client_certificate: the unit's own with its chain, PEM, or empty.
        client_key: its private key, PEM, or empty.
    """

    charge_point: ChargePoint
    wifi_ssid: str
    wifi_passphrase: Secret
    csms_url: str
    authorization_key: Secret
    security_profile: int
    ca_certificate: str
    client_certificate: str = ""
    client_key: Secret = field(default_factory=lambda: Secret(""))


def render_secrets(values: SecretsInput) -> str:
    """`secrets.h`, in which every text stands as C++ that means exactly that text.

    Raises:
        ConfigError: naming the key of evtool.toml and its rule, never its value.
    """
    endpoint = endpoint_url(values.csms_url, values.charge_point.identity)
    try:
        url = parse_csms_url(endpoint)
    except ValueError as error:
        raise ConfigError(
            f"[csms] url: {error}", fix="such as ws://csms.example.com:9000/ocpp"
        ) from error
    texts = {
        "wifi_ssid": ("[wifi] ssid", values.wifi_ssid),
        "wifi_passphrase": ("[wifi] passphrase", values.wifi_passphrase.reveal()),
        "csms_host": ("[csms] url", url.host),
        "csms_path": ("[csms] url", url.path),
        "csms_url": ("[csms] url", endpoint),
        "csms_full_url": (
            "[csms] url",
            charge_point_url(endpoint, values.charge_point.identity),
        ),
        "authorization_key": ("[csms] authorization_key", values.authorization_key.reveal()),
        "ca_certificate": ("[csms] ca_certificate", values.ca_certificate),
        "client_certificate": ("[csms] client_certificate", values.client_certificate),
        "client_key": ("[csms] client_key", values.client_key.reveal()),
    } | {
        each.name: (f"[charge_point] {each.name}", getattr(values.charge_point, each.name))
        for each in fields(values.charge_point)
    }
    for place, text in texts.values():
        try:
            cpp_string(text)
        except ValueError as error:
            # `from None`: the context holds the text
            raise ConfigError(f"{place}: {error}", fix="write it anew, as plain text") from None
    return render(
        "secrets.h.j2",
        csms_port=url.port,
        csms_tls=int(url.tls),
        security_profile=values.security_profile,
        **{name: text for name, (_, text) in texts.items()},
    )
