# SPDX-License-Identifier: GPL-3.0-or-later
"""Security events: kept in a bounded log, the critical ones told to the CSMS until it has them.

Whitepaper ed. 2, A04, and its table of security events. An event is kept before it is told, one
key each, so that neither a power cut nor a lost connection loses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.effects import Notify
from evtool.reference_impl.charge_point.kept_record import read_record, render_record
from evtool.reference_impl.charge_point.values import Effect, Persist

KEY_PREFIX = "security."
MAX_ENTRIES = 64
ACTION = "SecurityEventNotification"

EVENTS: Mapping[str, bool] = MappingProxyType(
    {
        "FirmwareUpdated": True,
        "FailedToAuthenticateAtCentralSystem": False,
        "CentralSystemFailedToAuthenticate": False,
        "SettingSystemTime": True,
        "StartupOfTheDevice": True,
        "ResetOrReboot": True,
        "SecurityLogWasCleared": True,
        "ReconfigurationOfSecurityParameters": False,
        "MemoryExhaustion": True,
        "InvalidMessages": False,
        "AttemptedReplayAttacks": False,
        "TamperDetectionActivated": True,
        "InvalidFirmwareSignature": True,
        "InvalidFirmwareSigningCertificate": True,
        "InvalidCentralSystemCertificate": True,
        "InvalidChargePointCertificate": True,
        "InvalidTLSVersion": True,
        "InvalidTLSCipherSuite": True,
    }
)
"""Each standard event, and whether the CSMS is told of it at once."""

_LONGEST_INFO = 255  # SecurityEventNotification.req, techInfo


@dataclass(slots=True)
class _Entry:
    """One event; unix_ms is None until the clock is known, waiting: the CSMS does not have it."""

    number: int
    event: str
    tech_info: str
    unix_ms: int | None
    waiting: int

    @property
    def key(self) -> str:
        return f"{KEY_PREFIX}{self.number}"


_KINDS: Mapping[str, tuple[type, ...]] = {
    field.name: {"str": (str,), "int": (int,), "int | None": (int, type(None))}[str(field.type)]
    for field in fields(_Entry)
}


class SecurityLog:
    """The log and what of it waits for the CSMS. What it wants done comes from `drain`.

    Args:
        stored: what earlier runs kept, by key; what cannot be read is dropped.
        max_entries: how many events are kept; the oldest that the CSMS need not hear goes first.
    """

    __slots__ = ("_effects", "_entries", "_max_entries", "_number", "_under_way")

    def __init__(
        self, stored: Mapping[str, str] | None = None, max_entries: int = MAX_ENTRIES
    ) -> None:
        self._max_entries = max_entries
        self._effects: list[Effect] = []
        self._under_way: int | None = None
        entries: list[_Entry] = []
        for key, text in (stored or {}).items():
            if not key.startswith(KEY_PREFIX):
                continue
            kept = _read(text)
            if kept is None or kept.key != key:
                self._effects.append(Persist(key, None))
            else:
                entries.append(kept)
        self._entries = sorted(entries, key=lambda entry: entry.number)
        self._number = self._entries[-1].number if self._entries else 0
        self._make_room(max_entries)

    def __len__(self) -> int:
        return len(self._entries)

    def drain(self) -> list[Effect]:
        """What is to be done, in order."""
        effects, self._effects = self._effects, []
        return effects

    def waiting(self) -> int:
        """How many events the CSMS has yet to hear."""
        return sum(entry.waiting for entry in self._entries)

    def record(self, event: str, tech_info: str, unix_ms: int | None, *, told: bool = True) -> None:
        """Keep an event.

        Args:
            event: one of EVENTS; another name counts as critical.
            tech_info: what a technician would want to know; never a secret.
            unix_ms: when; None where the clock is not known yet.
            told: critical ones go to the CSMS (DisableSecurityEventNotifications is false).
        """
        self._make_room(self._max_entries - 1)
        self._number += 1
        waiting = int(told and EVENTS.get(event, True))
        entry = _Entry(self._number, event[:50], tech_info[:_LONGEST_INFO], unix_ms, waiting)
        self._entries.append(entry)
        self._keep(entry)

    def tick(self, unix_ms: int | None) -> None:
        """Tell the next event, where none is under way; call it while the CSMS listens.

        Args:
            unix_ms: the clock; None until it is known, and nothing is told before.
        """
        if unix_ms is None:
            return
        for entry in self._entries:
            if entry.unix_ms is None:
                entry.unix_ms = unix_ms
                self._keep(entry)
        if self._under_way is not None:
            return
        news = next((entry for entry in self._entries if entry.waiting), None)
        if news is None:
            return
        self._under_way = news.number
        payload: ocpp16.Payload = {"type": news.event, "timestamp": _timestamp(news)}
        if news.tech_info:
            payload["techInfo"] = news.tech_info
        self._effects.append(Notify(ACTION, payload))

    def has_news(self) -> bool:
        """Whether `tick` would tell something."""
        return self._under_way is None and any(entry.waiting for entry in self._entries)

    def on_told(self) -> None:
        """The CSMS has answered; an answer without a matching question is ignored."""
        number, self._under_way = self._under_way, None
        for entry in self._entries:
            if entry.number == number and entry.waiting:
                entry.waiting = 0
                self._keep(entry)

    def on_not_told(self) -> None:
        """No answer, or a CallError: it is told again."""
        self._under_way = None

    def clear(self, unix_ms: int | None) -> None:
        """Empty the log, except for what the CSMS has yet to hear; that is an event itself."""
        for entry in [entry for entry in self._entries if not entry.waiting]:
            self._remove(entry)
        self.record("SecurityLogWasCleared", "", unix_ms)

    def render(self, oldest_unix_ms: int | None = None, latest_unix_ms: int | None = None) -> str:
        """The log as text, a line for each event between the two moments."""
        return "".join(
            f"{_timestamp(entry)} {entry.event} {entry.tech_info}".rstrip() + "\n"
            for entry in self._entries
            if entry.unix_ms is None
            or (
                (oldest_unix_ms is None or entry.unix_ms >= oldest_unix_ms)
                and (latest_unix_ms is None or entry.unix_ms <= latest_unix_ms)
            )
        )

    def _make_room(self, most: int) -> None:
        while len(self._entries) > most:
            told = (entry for entry in self._entries if not entry.waiting)
            self._remove(next(told, self._entries[0]))

    def _remove(self, entry: _Entry) -> None:
        self._entries.remove(entry)
        self._effects.append(Persist(entry.key, None))

    def _keep(self, entry: _Entry) -> None:
        self._effects.append(Persist(entry.key, render_record(asdict(entry))))


def _timestamp(entry: _Entry) -> str:
    return ocpp16.render_timestamp(entry.unix_ms or 0)


def _read(text: str) -> _Entry | None:
    record = read_record(text, _KINDS)
    if record is None:
        return None
    entry = _Entry(**record)  # type: ignore[arg-type]  # `read_record` has checked every field
    sound = (
        entry.number > 0
        and entry.waiting in (0, 1)
        and 0 < len(entry.event) <= 50
        and len(entry.tech_info) <= _LONGEST_INFO
        and (entry.unix_ms is None or 0 <= entry.unix_ms <= ocpp16.LAST_MOMENT_MS)
    )
    return entry if sound else None
