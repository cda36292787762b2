# SPDX-License-Identifier: GPL-3.0-or-later
"""A new AuthorizationKey or SecurityProfile: tried, and taken back where it does not connect.

Whitepaper ed. 2, A01 (key) and A05 (profile). The settings that are known to work are kept
until a connection with the new ones has opened, so that no power cut leaves the charge point
with settings that nobody accepts. Until one of both has connected they take turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.kept_record import Field, read_record, render_record
from evtool.reference_impl.charge_point.values import Persist

KEY = "connection.known_good"
MAX_PROFILE = 3
ATTEMPTS = 3

_KINDS: Mapping[str, tuple[type, ...]] = {"security_profile": (int,), "authorization_key": (str,)}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What a connection is opened with.

    Attributes:
        security_profile: 0 nothing, 1 Basic, 2 Basic over TLS, 3 TLS with a client certificate.
        authorization_key: as configured; never shown.
    """

    security_profile: int = 0
    authorization_key: str = field(default="", repr=False)


def may_raise(
    current: int, wanted: int, *, has_key: bool, has_root: bool, has_certificate: bool
) -> bool:
    """Whether SecurityProfile may change from `current` to `wanted`.

    Only upwards; Basic needs an AuthorizationKey, TLS a central system's root, profile 3 a
    certificate of the charge point's own.
    """
    if not current < wanted <= MAX_PROFILE:
        return False
    return (
        (wanted not in (1, 2) or has_key)
        and (wanted < 2 or has_root)
        and (wanted < 3 or has_certificate)
    )


class ConnectionChange:
    """What to go back to while new settings are on trial.

    Args:
        stored: what earlier runs kept, by key.
        attempts: connections that may fail before the old settings come back.
    """

    __slots__ = ("_attempts", "_failures", "_known_good")

    def __init__(self, stored: Mapping[str, str] | None = None, attempts: int = ATTEMPTS) -> None:
        self._attempts = attempts
        self._failures = 0
        record = read_record((stored or {}).get(KEY, ""), _KINDS)
        self._known_good: ConnectionSettings | None = None
        if record is not None and _is_sound(record):
            self._known_good = ConnectionSettings(
                int(record["security_profile"] or 0), str(record["authorization_key"])
            )

    @property
    def on_trial(self) -> bool:
        """Whether no connection has opened since the last change."""
        return self._known_good is not None

    def begin(self, before: ConnectionSettings) -> list[Persist]:
        """The settings have changed; keep what they were. A second change keeps the first's."""
        self._failures = 0
        return [] if self._known_good is not None else [self._keep(before)]

    def on_open(self) -> list[Persist]:
        """A connection has opened: the settings are good."""
        self._failures = 0
        if self._known_good is None:
            return []
        self._known_good = None
        return [Persist(KEY, None)]

    def on_failure(self, current: ConnectionSettings) -> tuple[ConnectionSettings, Persist] | None:
        """No connection could be opened with the `current` settings.

        Returns:
            After some failures the settings to go back to, and what to keep. From then on the
            others are what may come back: it may have been the central system that was away.
        """
        if self._known_good is None:
            return None
        self._failures += 1
        if self._failures < self._attempts:
            return None
        back, self._failures = self._known_good, 0
        return back, self._keep(current)

    def _keep(self, settings: ConnectionSettings) -> Persist:
        self._known_good = settings
        return Persist(
            KEY,
            render_record(
                {
                    "security_profile": settings.security_profile,
                    "authorization_key": settings.authorization_key,
                }
            ),
        )


def _is_sound(record: Mapping[str, Field]) -> bool:
    try:
        if record["authorization_key"]:
            ocpp16.decode_authorization_key(str(record["authorization_key"]))
    except ValueError:
        return False
    return record["security_profile"] in range(MAX_PROFILE + 1)
