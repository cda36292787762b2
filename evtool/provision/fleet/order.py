# SPDX-License-Identifier: GPL-3.0-or-later
"""What one unit of a fleet shall be: every value known, every secret still a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from evtool.project import ChargePoint, Secret, SecretRef
from evtool.provision.fleet.drawn_serial import DrawnSerial
from evtool.provision.identity import Identity, IdentityInput, check_identity

# The secrets of a unit, by the names that columns, sealed values and ledger use.
WIFI_PASSPHRASE = "wifi_passphrase"  # noqa: S105  # a column's name
AUTHORIZATION_KEY = "authorization_key"
CLIENT_KEY = "client_key"
SECRET_NAMES = (WIFI_PASSPHRASE, AUTHORIZATION_KEY, CLIENT_KEY)


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file that a person wrote.

    Attributes:
        file: as it was named on the command line, or in the file that leads to it.
        line: counted from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class UnitOrder:
    """One unit's wanted values; made by `evtool.provision.fleet.check` alone.

    Attributes:
        where: the row.
        charge_point: identity, vendor, model, serial number ("" where it is drawn) and local id
            tag.
        wifi_passphrase: where it comes from; never the passphrase.
        csms_url: without the identity.
        authorization_key: where it comes from; never the key.
        ca_certificate: the PEM file's bytes; the same object for all units that share it.
        client_certificate: the PEM chain's bytes, the unit's own certificate first.
        client_key: where its private key comes from; None without a certificate.
        variables: what the template's {names} stood for.
        mac: lower case with colons, where the row is bound to one board; else None.
        flash_encryption: the unit's flash is to be encrypted (irreversible: asked for again).
        shared: names of the secrets that several units may have.
        draws: where the serial number is drawn from; None: it stands in `charge_point`.
    """

    where: Where
    charge_point: ChargePoint
    wifi_ssid: str
    wifi_passphrase: SecretRef
    csms_url: str
    security_profile: int
    authorization_key: SecretRef
    ca_certificate: bytes | None = None
    client_certificate: bytes | None = None
    client_key: SecretRef | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    mac: str | None = None
    flash_encryption: bool = False
    shared: frozenset[str] = frozenset()
    draws: DrawnSerial | None = None

    @property
    def identity(self) -> str:
        """The OCPP identity: the unit's name everywhere."""
        return self.charge_point.identity

    def secret_references(self) -> dict[str, SecretRef]:
        """The unit's secrets by name."""
        found = {WIFI_PASSPHRASE: self.wifi_passphrase, AUTHORIZATION_KEY: self.authorization_key}
        if self.client_key is not None:
            found[CLIENT_KEY] = self.client_key
        return found

    def wanted_secrets(self) -> list[tuple[str, str, SecretRef]]:
        """The same as (identity, name, reference), for many units at once."""
        return [(self.identity, name, ref) for name, ref in self.secret_references().items()]


class UnitSecrets(Protocol):
    """Turns a unit's references into its secrets: sealed ones, files, variables, new ones."""

    def resolve(self, unit: str, name: str, ref: SecretRef) -> Secret:
        """The secret `name` (one of SECRET_NAMES) of the unit with this identity.

        A generated one is made and kept, durably, before it is returned, and is the same one
        ever after.

        Raises:
            SecretMissing: the reference leads nowhere.
            ConfigError: what it leads to is not one that a secret may stand in.
        """


def resolve(order: UnitOrder, secrets: UnitSecrets, now: datetime) -> Identity:
    """The unit's identity with its secrets, every rule checked once more.

    Args:
        now: aware; certificates are checked against it.

    Raises:
        ConfigError: a rule is broken (naming file, line and column), or a secret is missing.
    """
    unit = order.identity
    values = IdentityInput(
        charge_point=order.charge_point,
        wifi_ssid=order.wifi_ssid,
        wifi_passphrase=secrets.resolve(unit, WIFI_PASSPHRASE, order.wifi_passphrase),
        csms_url=order.csms_url,
        authorization_key=secrets.resolve(unit, AUTHORIZATION_KEY, order.authorization_key),
        security_profile=order.security_profile,
        ca_certificate=order.ca_certificate,
        client_certificate=order.client_certificate,
        client_key=None
        if order.client_key is None
        else secrets.resolve(unit, CLIENT_KEY, order.client_key),
    )
    return check_identity(values, now=now, locate=lambda _table, _key: str(order.where))
