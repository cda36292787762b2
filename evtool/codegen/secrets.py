# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders secrets.h. Pure: the secrets come in, the text goes out, nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass, fields

from evtool.codegen.cpp_text import cpp_string
from evtool.codegen.template import render
from evtool.errors import ConfigError
from evtool.project import ChargePoint, Secret
from evtool.protocol.authorization_key import key_as_hex
from evtool.protocol.csms_url import charge_point_url, endpoint_url, parse_csms_url

_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class SecretsInput:
    """Everything that secrets.h holds.

    Attributes:
        wifi_passphrase: empty for an open network.
        csms_url: ws:// or wss://; with or without the identity at its end.
        authorization_key: 16 to 20 characters or hex digits; empty for security profile 0.
        ca_certificate: the CSMS's root, PEM, or empty.
    """

    charge_point: ChargePoint
    wifi_ssid: str
    wifi_passphrase: Secret
    csms_url: str
    authorization_key: Secret
    security_profile: int
    ca_certificate: str


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
    key = values.authorization_key.reveal()
    try:
        key = key_as_hex(key) if key else ""
    except ValueError as error:
        raise ConfigError(
            f"[csms] authorization_key: {error}", fix="or let evtool make one: { generate = true }"
        ) from error
    if "PRIVATE KEY" in values.ca_certificate:
        raise ConfigError(
            "[csms] ca_certificate: the file holds a private key",
            fix="name the file with the CSMS's root certificate alone",
        )
    if values.ca_certificate and _PEM_BEGIN not in values.ca_certificate:
        raise ConfigError(
            "[csms] ca_certificate: the file holds no PEM certificate",
            fix=f"it must contain a block that begins with {_PEM_BEGIN}",
        )
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
        "authorization_key": ("[csms] authorization_key", key),
        "ca_certificate": ("[csms] ca_certificate", values.ca_certificate),
    } | {
        field.name: (f"[charge_point] {field.name}", getattr(values.charge_point, field.name))
        for field in fields(values.charge_point)
    }
    for place, text in texts.values():
        try:
            cpp_string(text)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from None  # the context holds the text
    return render(
        "secrets.h.j2",
        csms_port=url.port,
        csms_tls=int(url.tls),
        security_profile=values.security_profile,
        **{name: text for name, (_, text) in texts.items()},
    )
