# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is admitted, how: identities, keys, certificates, minimum security profiles.

The security profile of a connection (OCPP 1.6 security whitepaper, edition 2, chapter 2):
0 nothing, 1 HTTP Basic, 2 HTTP Basic within TLS, 3 a client certificate within TLS.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from evtool.protocol import ocpp16
from evtool.virtual.csms.records import StoredStation

UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Knock:
    """A request to connect.

    Attributes:
        path: the request's path; its last segment is the identity.
        authorization: the header's value.
        is_tls: whether it came within TLS.
        common_name, organization: subject of the client certificate that TLS has verified;
            None where there is none.
    """

    path: str
    authorization: str | None = field(default=None, repr=False)
    is_tls: bool = False
    common_name: str | None = None
    organization: str | None = None


@dataclass(slots=True)
class Account:
    """A station that is known.

    Attributes:
        key: its AuthorizationKey; None admits it without a password in profile 0.
        next_key: set by ChangeConfiguration; the old one holds until it has come with this.
        next_is_taken: whether the station has said that it takes it.
        profile: the lowest security profile that it may connect with.
        next_profile: set by ChangeConfiguration; becomes `profile` once it has come with it.
        serial: what its certificate's CN says; None for the identity.
        registration: what its BootNotification gets.
        interval_s: the interval in BootNotification.conf; None for the system's.
    """

    identity: str
    key: bytes | None = field(default=None, repr=False)
    next_key: bytes | None = field(default=None, repr=False)
    next_is_taken: bool = False
    profile: int = 0
    next_profile: int | None = None
    serial: str | None = None
    registration: str = "Accepted"
    interval_s: int | None = None

    @property
    def common_name(self) -> str:
        """The CN of its certificates (security whitepaper, A00: its serial number)."""
        return self.serial or self.identity

    def offer(self, key: bytes) -> None:
        """A key is sent to the station: whether or not it answers, it may come with it."""
        if self.next_is_taken:
            self.key = self.next_key
        self.next_key, self.next_is_taken = key, False

    def stored(self) -> StoredStation:
        """What must outlive the process."""
        return StoredStation(
            self.identity, self.key, self.next_key, self.profile, self.next_profile
        )

    def restore(self, stored: StoredStation) -> None:
        """Take what did; a profile that was raised in the configuration since stays raised."""
        self.key, self.next_key = stored.key, stored.next_key
        self.profile = max(self.profile, stored.profile)
        self.next_profile = stored.next_profile
        if self.next_profile is not None and self.next_profile <= self.profile:
            self.next_profile = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A knock that is let in.

    Attributes:
        profile: the security profile of the connection.
        changed: the account took its next key or next profile by it.
    """

    account: Account
    profile: int
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A knock that is not: the HTTP status for the station, the reason for the operator."""

    identity: str
    status: int
    reason: str


def judge(
    account: Account | None, identity: str, knock: Knock, cpo: str | None, hex_keys: bool
) -> Admitted | Refused:
    """Decide on a knock; an account that comes with its next key or profile has it from then.

    Args:
        account: of the identity; None where it is unknown.
        cpo: what a certificate's O must say; None for anything.
        hex_keys: whether the key's hex digits pass for the key, as some stacks send them.
    """
    if account is None:
        return Refused(identity, NOT_FOUND, "no station of that identity is admitted")
    certificate = _judge_certificate(account, knock, cpo)
    if certificate is None:
        return _admit(account, 3, None)
    if account.key is None and account.next_key is None and account.profile == 0:
        return _admit(account, 0, None)
    key = _judge_password(account, knock, hex_keys)
    if isinstance(key, str):
        reason = certificate if account.profile == 3 and knock.is_tls else key
        return Refused(identity, UNAUTHORIZED, reason)
    profile = 2 if knock.is_tls else 1
    if profile < account.profile:
        reason = f"its security profile is {profile}, at least {account.profile} is required"
        return Refused(identity, FORBIDDEN, reason)
    return _admit(account, profile, key)


def _admit(account: Account, profile: int, key: bytes | None) -> Admitted:
    changed = False
    if key is not None and key == account.next_key:
        account.key, account.next_key, account.next_is_taken = key, None, False
        changed = True
    if account.next_profile is not None and profile >= account.next_profile:
        account.profile, account.next_profile = account.next_profile, None
        changed = True
    return Admitted(account, profile, changed)


def _judge_certificate(account: Account, knock: Knock, cpo: str | None) -> str | None:
    """None where the client certificate is this station's, else what is wrong with it."""
    if not knock.is_tls or knock.common_name is None:
        return "it gave no client certificate"
    if knock.common_name != account.common_name:
        return f"its certificate is {knock.common_name!a}'s (CN), not {account.common_name!a}'s"
    if cpo is not None and knock.organization != cpo:
        return f"its certificate is of {knock.organization!a} (O), not of {cpo!a}"
    return None


def _judge_password(account: Account, knock: Knock, hex_keys: bool) -> bytes | str:
    """The key that was given, or what is wrong."""
    if account.key is None and account.next_key is None:
        return "no key of it is known"
    given = ocpp16.parse_basic_authorization(knock.authorization or "")
    if given is None:
        return "it gave no password (HTTP Basic)"
    if given[0] != account.identity:
        return "its user name is not its identity"
    for key in (account.next_key, account.key):
        if key is not None and _is_same(given[1], key, hex_keys):
            return key
    return "its password is not the AuthorizationKey"


def _is_same(given: bytes, key: bytes, hex_keys: bool) -> bool:
    if hmac.compare_digest(given, key):
        return True
    return hex_keys and hmac.compare_digest(given.lower(), key.hex().encode())
