# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a headless charge point is: what its flash would hold, as `nvs` lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evtool.errors import ConfigError
from evtool.project import SecretRef
from evtool.protocol.authorization_key import key_as_hex
from evtool.protocol.csms_url import charge_point_url, masked_url, parse_csms_url
from evtool.protocol.nvs import NvsEntry
from evtool.virtual.board_nvs import nvs_line

_IDENTITY = re.compile(r"[!-~]{1,48}\Z")
_NOT_IN_IDENTITY = set(":=/()<>")
_LONGEST = {"vendor": 20, "model": 20, "serial": 25}  # OCPP 1.6, BootNotification


class Product(NamedTuple):
    """What BootNotification says beside the identity."""

    vendor: str = "evtool"
    model: str = "sim charge-point"
    serial: str = "1"


def identity_lines(
    url: str,
    identity: str,
    key_file: Path | None,
    key_env: str | None,
    ca_certificate: Path | None,
    product: Product,
) -> list[str]:
    """The lines for the program; with a key they hold a secret.

    The security profile is 0 without a key, else 1 for ws and 2 for wss.

    Raises:
        ConfigError: naming the argument or option that is wrong, and never the key.
    """
    texts = _checked(url, identity, key_file, key_env, ca_certificate, product)
    profile = 0 if "auth_key" not in texts else 2 if "ca_cert" in texts else 1
    entries = [NvsEntry("evcfg", name, "str", value) for name, value in texts.items()]
    entries += [
        NvsEntry("evcfg", "schema", "u8", 1),
        NvsEntry("evcfg", "sec_profile", "u8", profile),
    ]
    return [nvs_line(entry) for entry in entries]


@dataclass(frozen=True)
class Endpoint:
    """Where a charge point connects, and as whom.

    Attributes:
        url: complete with the identity.
        identity: as the central system knows it.
        key: the AuthorizationKey's bytes; None for none.
        ca_certificate: PEM of the only authority to trust; None trusts the system's.
        any_host: the central system's certificate may be for another host.
    """

    url: str
    identity: str
    key: bytes | None = field(repr=False)
    ca_certificate: Path | None
    any_host: bool = False


def read_endpoint(
    url: str,
    identity: str,
    key_file: Path | None,
    key_env: str | None,
    ca_certificate: Path | None,
    product: Product,
) -> Endpoint:
    """What the arguments say.

    Raises:
        ConfigError: naming the argument or option that is wrong, and never the key.
    """
    key = _checked(url, identity, key_file, key_env, ca_certificate, product).get("auth_key")
    return Endpoint(
        charge_point_url(url, identity),
        identity,
        bytes.fromhex(key) if key is not None else None,
        ca_certificate,
    )


def _checked(
    url: str,
    identity: str,
    key_file: Path | None,
    key_env: str | None,
    ca_certificate: Path | None,
    product: Product,
) -> dict[str, str]:
    """The texts that a flash would hold, by their keys."""
    _check_identity(identity)
    _check_product(product)
    try:
        tls = parse_csms_url(url).tls
    except ValueError as error:
        raise ConfigError(
            f"URL: {error}", fix="write for example ws://127.0.0.1:9000"
        ) from error  # without the URL itself: a password may stand in it
    key = read_key(key_file, key_env)
    texts = {
        "cp_id": identity,
        "csms_url": url,
        **product._asdict(),
        "wifi_ssid": "none",  # required of every unit; there is no radio here
    }
    if key is not None:
        texts["auth_key"] = key
    if tls and ca_certificate is None:
        raise ConfigError(
            f"URL {masked_url(url)}: wss:// needs --ca-certificate, the only authority that is "
            "trusted",
            fix="name the PEM file of the root certificate",
        )
    if tls and ca_certificate is not None:
        texts["ca_cert"] = read_certificate(ca_certificate)
    return texts


def _check_identity(identity: str) -> None:
    if not _IDENTITY.match(identity) or _NOT_IN_IDENTITY & set(identity):
        raise ConfigError(
            f"IDENTITY {identity!r}: 1 to 48 printable ASCII characters without blanks and :=/()<>",
            fix="name the charge point as the central system knows it, for example CP-0001",
        )


def _check_product(product: Product) -> None:
    for name, value in product._asdict().items():
        check_text(f"--{name}", value, _LONGEST[name], shortest=1)


def check_text(option: str, value: str, longest: int, *, shortest: int = 0) -> None:
    """Check a text of BootNotification.

    Raises:
        ConfigError: it does not fit; names the option.
    """
    fits = shortest <= len(value) <= longest
    if not fits or not value.isascii() or not (value.isprintable() or not value):
        raise ConfigError(
            f"{option} {value!r}: {shortest} to {longest} printable ASCII characters",
            fix="shorten it, or leave the option out",
        )


def read_key(key_file: Path | None, key_env: str | None) -> str | None:
    """The AuthorizationKey in hex digits; None where neither a file nor a variable is named.

    Raises:
        ConfigError: naming the option that is wrong, and never the key.
    """
    from evtool.link.secret_source import SecretSource

    if key_file is not None and key_env is not None:
        raise ConfigError("--key-file and --key-env: only one of them", fix="leave one out")
    if key_file is not None:
        ref, label = SecretRef("file", str(key_file)), "--key-file"
    elif key_env is not None:
        ref, label = SecretRef("env", key_env), "--key-env"
    else:
        return None
    secret = SecretSource(Path(), create=False).resolve(ref, label)
    try:
        return key_as_hex(secret.reveal())
    except ValueError as error:
        # `from None`: the error's own frames hold the key.
        raise ConfigError(
            f"{label}: the AuthorizationKey {error}", fix="give the right one"
        ) from None


def read_certificate(path: Path) -> str:
    """What `--ca-certificate` names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--ca-certificate {path}: cannot be read: {error}", fix="name a PEM file"
        ) from error
