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

MAX_NEXT_KEYS = 32
"""Of a station, ordered and neither answered nor used."""

_FREE_GUESSES = 3
_FIRST_HOLD_S = 0.25
_LONGEST_HOLD_S = 5.0


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
        next_keys: ordered by ChangeConfiguration, oldest first. An answer may be lost, and a key
            be used only after a restart: each is good, and the old one, until it comes with one.
        wrong_passwords: how many came since the last that was right.
        profile: the lowest security profile that it may connect with.
        next_profile: set by ChangeConfiguration; becomes `profile` once it has come with it.
        serial: what its certificate's CN says; None for the identity.
        registration: what its BootNotification gets.
        interval_s: the interval in BootNotification.conf; None for the system's.
    """

    identity: str
    key: bytes | None = field(default=None, repr=False)
    next_keys: list[bytes] = field(default_factory=list, repr=False)
    wrong_passwords: int = 0
    profile: int = 0
    next_profile: int | None = None
    serial: str | None = None
    registration: str = "Accepted"
    interval_s: int | None = None

    @property
    def common_name(self) -> str:
        """The CN of its certificates (security whitepaper, A00: its serial number)."""
        return self.serial or self.identity

    @property
    def hold_s(self) -> float:
        """How long a 401 is held back: nothing after a slip, seconds after many."""
        beyond = self.wrong_passwords - _FREE_GUESSES
        return (
            0.0 if beyond <= 0 else min(_FIRST_HOLD_S * 2.0 ** min(beyond - 1, 10), _LONGEST_HOLD_S)
        )

    def offer(self, key: bytes) -> None:
        """A key is sent to the station: whether or not it answers, it may come with it.

        Raises:
            ValueError: too many were ordered that it has neither answered nor come with.
        """
        if len(self.next_keys) >= MAX_NEXT_KEYS:
            raise ValueError(
                f"{MAX_NEXT_KEYS} keys were ordered from {self.identity} without an answer: "
                "give it one by PUT /api/stations/STATION/key"
            )
        self.next_keys.append(key)

    def take(self, key: bytes) -> None:
        """The station has said that it takes it: those ordered before are out of use."""
        if key in self.next_keys:
            del self.next_keys[: self._latest(key)]

    def decline(self, key: bytes) -> None:
        """The station has said that it does not; an earlier order of the same key counts."""
        if key in self.next_keys:
            del self.next_keys[self._latest(key)]

    def use(self, key: bytes) -> None:
        """The station has come with it; those ordered later may still follow."""
        del self.next_keys[: self._latest(key) + 1]
        self.key = key

    def replace(self, key: bytes | None) -> None:
        """This key and no other."""
        self.key = key
        self.next_keys.clear()
        self.wrong_passwords = 0

    def _latest(self, key: bytes) -> int:
        return len(self.next_keys) - 1 - self.next_keys[::-1].index(key)

    def stored(self) -> StoredStation:
        """What must outlive the process."""
        return StoredStation(
            self.identity, self.key, tuple(self.next_keys), self.profile, self.next_profile
        )

    def restore(self, stored: StoredStation) -> None:
        """Take what did; a profile that was raised in the configuration since stays raised."""
        self.key, self.next_keys = stored.key, list(stored.next_keys)
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
    if account.key is None and not account.next_keys and account.profile == 0:
        return _admit(account, 0, None)
    key = _judge_password(account, knock, hex_keys)
    if isinstance(key, str):
        account.wrong_passwords += knock.authorization is not None
        reason = certificate if account.profile == 3 and knock.is_tls else key
        return Refused(identity, UNAUTHORIZED, reason)
    profile = 2 if knock.is_tls else 1
    if profile < account.profile:
        reason = f"its security profile is {profile}, at least {account.profile} is required"
        return Refused(identity, FORBIDDEN, reason)
    return _admit(account, profile, key)


def _admit(account: Account, profile: int, key: bytes | None) -> Admitted:
    changed = False
    account.wrong_passwords = 0
    if key is not None and key in account.next_keys:
        account.use(key)
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
    if account.key is None and not account.next_keys:
        return "no key of it is known"
    given = ocpp16.parse_basic_authorization(knock.authorization or "")
    if given is None:
        return "it gave no password (HTTP Basic)"
    if given[0] != account.identity:
        return "its user name is not its identity"
    for key in (*account.next_keys, account.key):
        if key is not None and _is_same(given[1], key, hex_keys):
            return key
    return "its password is not the AuthorizationKey"


def _is_same(given: bytes, key: bytes, hex_keys: bool) -> bool:
    if hmac.compare_digest(given, key):
        return True
    return hex_keys and hmac.compare_digest(given.lower(), key.hex().encode())
