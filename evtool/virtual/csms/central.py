# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system for OCPP 1.6J: who is admitted, what is known, what is asked of stations.

Connections, the clock and the store come in from outside. What is sent is checked against
the schemas of the `ocpp` package, and so is what comes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from evtool.errors import DeviceError
from evtool.protocol import ocpp16
from evtool.virtual.csms.accounts import (
    NOT_FOUND,
    UNAUTHORIZED,
    UNAVAILABLE,
    Account,
    Knock,
    Refused,
    judge,
)
from evtool.virtual.csms.authorization import IdTags, LocalList
from evtool.virtual.csms.certificates import Authority
from evtool.virtual.csms.faults import CONNECT, Faults
from evtool.virtual.csms.ledger import Ledger
from evtool.virtual.csms.ports import Connection, Event, Memory, Report, Store
from evtool.virtual.csms.records import TransactionRecord
from evtool.virtual.csms.station import Seen, Station

ANSWER_TIMEOUT_S = 30.0
MAX_IDENTITY = 255
_MAX_SEEN = 20_000
_TOLD_GUESSES = frozenset(10**power for power in range(1, 12))


class Csms:
    """The central system.

    Args:
        keys: identity to key bytes, or to an `Account`; None admits the station without a
            password.
        open_to_all: admit every identity that `keys` does not name, without a password.
        clock: Unix milliseconds.
        report: called with every event, ready for JSON.
        heartbeat_s: the interval told in BootNotification.conf.
        store: where transactions and changed credentials outlive the process.
        authority: signs what stations request; None refuses SignCertificate.
        cpo: what a client certificate's O must say; None for anything.
        hex_keys: admit a station whose password is its key's hex digits, as a text.
        max_rate: messages a second above which a station is read more slowly; None: no limit.

    Attributes:
        accounts: the stations that are known, by identity.
        id_tags: the authorisation list.
        stations: those that are connected.
        local_lists: the local list that each station accepted last.
        charging_profiles: what each station accepted, by chargingProfileId.
        reservations: what each station accepted, by reservationId, with its `status`:
            Accepted, Cancelled, or Used by a transaction.
        data_transfer: vendorId to the status that its DataTransfer gets.
    """

    def __init__(  # noqa: PLR0913 - the parts of a central system, all but four optional
        self,
        keys: Mapping[str, bytes | Account | None],
        *,
        open_to_all: bool,
        clock: Callable[[], int],
        report: Report,
        heartbeat_s: int = 300,
        store: Store | None = None,
        authority: Authority | None = None,
        cpo: str | None = None,
        hex_keys: bool = False,
        max_rate: int | None = None,
    ) -> None:
        self.accounts: dict[str, Account] = {}
        for identity, key in keys.items():
            self.accounts[identity] = key if isinstance(key, Account) else Account(identity, key)
        self._open_to_all = open_to_all
        self.clock = clock
        self.report = report
        self.heartbeat_s = heartbeat_s
        self.authority = authority
        self.cpo = cpo
        self._hex_keys = hex_keys
        self.max_rate = max_rate
        self.id_prefix = secrets.token_hex(4)
        self.id_tags = IdTags()
        self.faults = Faults()
        self.stations: dict[str, Station] = {}
        self.local_lists: dict[str, LocalList] = {}
        self.charging_profiles: dict[str, dict[int, ocpp16.Payload]] = {}
        self.reservations: dict[str, dict[int, ocpp16.Payload]] = {}
        self.data_transfer: dict[str, str] = {}
        self.signed: dict[str, str] = {}
        self._profiles: dict[str, int] = {}
        self._seen: dict[str, Seen] = {}
        self._store: Store = store or Memory()
        self.ledger = Ledger(self._store)
        for stored in self._store.stations():
            if stored.identity in self.accounts:
                self.accounts[stored.identity].restore(stored)

    @property
    def transactions(self) -> Mapping[int, TransactionRecord]:
        """All transactions, by transaction_id."""
        return self.ledger.records

    def now(self) -> str:
        """The time, as OCPP writes it."""
        return ocpp16.render_timestamp(self.clock())

    def admit(self, path: str, authorization: str | None) -> int | None:
        """As `judge`, for a connection without TLS."""
        return self.judge(Knock(path, authorization))

    def judge(self, knock: Knock) -> int | None:
        """Check a connection request: None to accept it, else the HTTP status to refuse with."""
        identity = ocpp16.parse_identity(knock.path)
        if identity is None or len(identity) > MAX_IDENTITY:
            name = "?" if identity is None else identity[:40] + "..."
            return self._reject(Refused(name, NOT_FOUND, "there is no identity in the URL"))
        fault = self.faults.take(identity, CONNECT, "")
        if fault is not None:
            return self._reject(
                Refused(identity, int(fault.value or UNAVAILABLE), "a fault on demand")
            )
        account = self.accounts.get(identity)
        if account is None and self._open_to_all:
            account = Account(identity)
        verdict = judge(account, identity, knock, self.cpo, self._hex_keys)
        if isinstance(verdict, Refused):
            if verdict.status == UNAUTHORIZED and account is not None:
                self._count_guess(account)
            return self._reject(verdict)
        if verdict.changed:
            self.save(verdict.account)
            self.report({"event": "credentials", "station": identity, "profile": verdict.profile})
        if len(self._profiles) >= _MAX_SEEN:  # of those that never went on
            self._profiles.clear()
        self._profiles[identity] = verdict.profile
        return None

    def hold_s(self, path: str) -> float:
        """How long to hold back a 401 for that path: it grows with the wrong passwords."""
        account = self.accounts.get(ocpp16.parse_identity(path) or "")
        return 0.0 if account is None else account.hold_s

    def _count_guess(self, account: Account) -> None:
        count = account.wrong_passwords
        if count in _TOLD_GUESSES:
            event: Event = {"event": "guessing", "station": account.identity}
            self.report(event | {"wrong_passwords": count})

    def _reject(self, refused: Refused) -> int:
        """Tell the operator what the station itself is only told as a number."""
        self.report(
            {
                "event": "rejected",
                "station": refused.identity,
                "status": refused.status,
                "reason": refused.reason,
            }
        )
        return refused.status

    async def serve(self, path: str, connection: Connection) -> None:
        """Talk to an admitted station until its connection closes."""
        identity = ocpp16.parse_identity(path) or ""
        account = self.accounts.get(identity) or Account(identity)
        profile = self._profiles.pop(identity, 0)
        station = Station(account, connection, self, self._seen_of(identity), profile)
        # A station that comes back before its old connection is seen to end: the new one counts.
        previous = self.stations.get(identity)
        self.stations[identity] = station
        self.report({"event": "connected", "station": identity, "profile": profile})
        reason = "the server stops"
        try:
            if previous is not None:
                await previous.supersede()
            await station.run()
        except DeviceError as error:  # this is how a connection ends
            reason = error.message
        finally:
            if self.stations.get(identity) is station:
                del self.stations[identity]
            self.report({"event": "disconnected", "station": identity, "reason": reason})

    def _seen_of(self, identity: str) -> Seen:
        seen = self._seen.pop(identity, None) or Seen()
        self._seen[identity] = seen
        if len(self._seen) > _MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        return seen

    async def ask(
        self,
        identity: str,
        action: str,
        payload: ocpp16.Payload,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> ocpp16.Payload:
        """Send a Call to a station and return the payload of its answer.

        Raises:
            DeviceError: the station is not connected, or answered with a CallError.
            LinkTimeout: it did not answer.
            ValueError: the action does not exist, or the payload breaks its schema.
        """
        station = self.station(identity)
        violation = ocpp16.find_violation(action, payload)
        if violation is not None:
            raise ValueError(f"{action}: {violation.code}: {violation.description}")

        def about_to_send() -> None:
            if action == "ChangeConfiguration":
                self._expect_key(station.account, payload)

        answer = await station.ask(action, payload, timeout_s, about_to_send)
        self._learn(station, action, payload, answer)
        return answer

    def station(self, identity: str) -> Station:
        """A connected station. Raises DeviceError where it is not."""
        station = self.stations.get(identity)
        if station is None:
            raise DeviceError(
                f"station {identity} is not connected",
                fix="wait until it is; `stations` lists those that are",
            )
        return station

    async def remote_start(
        self, identity: str, id_tag: str, connector_id: int | None = 1
    ) -> ocpp16.Payload:
        """RemoteStartTransaction; raises as `ask` does."""
        payload: ocpp16.Payload = {"idTag": id_tag}
        if connector_id is not None:
            payload["connectorId"] = connector_id
        return await self.ask(identity, "RemoteStartTransaction", payload)

    async def remote_stop(self, identity: str, transaction_id: int | None = None) -> ocpp16.Payload:
        """RemoteStopTransaction, of the latest that runs unless told; raises as `ask` does."""
        if transaction_id is None:
            transaction_id = self.latest_running(identity)
        return await self.ask(identity, "RemoteStopTransaction", {"transactionId": transaction_id})

    def latest_running(self, identity: str) -> int:
        """The transaction_id. Raises ValueError where none runs."""
        running = self.ledger.running(identity)
        if not running:
            raise ValueError(f"no transaction runs at {identity}")
        return running[-1].transaction_id

    def start_transaction(
        self, station: str, connector_id: int, id_tag: str, meter_start: int, started: str
    ) -> int:
        """Record a start and return its transaction_id; a repeated one gets the first's."""
        record, _ = self.ledger.begin(station, connector_id, id_tag, meter_start, started)
        self.ledger.abandon(station)
        return record.transaction_id

    def id_tag_info(self, id_tag: str, *, alone: bool = True) -> dict[str, str]:
        """The idTagInfo of an id_tag; `alone` also asks whether it charges elsewhere."""
        entry = self.id_tags.find(id_tag)
        in_use = alone and entry.alone and self.ledger.is_charging(id_tag)
        return entry.info(self.clock(), in_use)

    def set_key(self, identity: str, key: bytes | None) -> None:
        """Give a station another key, at once. Raises ValueError for an unknown identity."""
        account = self.accounts.get(identity)
        if account is None:
            raise ValueError(f"no station {identity} is known")
        account.replace(key)
        self.save(account)

    def save(self, account: Account) -> None:
        """Keep an account's credentials."""
        self._store.save_station(account.stored())

    def _expect_key(self, account: Account, payload: ocpp16.Payload) -> None:
        """Before the order is sent: its answer may be lost, and the station come with the new."""
        if str(payload["key"]).lower() != "authorizationkey":
            return
        account.offer(_key_in(payload))
        self.save(account)

    def _learn(
        self, station: Station, action: str, payload: ocpp16.Payload, answer: ocpp16.Payload
    ) -> None:
        """Remember what a station has taken."""
        status, identity = answer.get("status"), station.identity
        if action == "ChangeConfiguration":
            self._learn_configuration(station.account, payload, status)
        elif action == "SendLocalList" and status == "Accepted":
            self.local_lists.setdefault(identity, LocalList(0, {})).apply(payload)
        elif action == "GetLocalListVersion":
            version = answer["listVersion"]
            known = self.local_lists.get(identity)
            if known is None or known.version != version:
                self.local_lists[identity] = LocalList(version, {})
        elif action == "ReserveNow" and status == "Accepted":
            reservations = self.reservations.setdefault(identity, {})
            reservations[payload["reservationId"]] = payload | {"status": "Accepted"}
        elif action == "CancelReservation" and status == "Accepted":
            self.end_reservation(identity, payload["reservationId"], "Cancelled")
        elif action == "SetChargingProfile" and status == "Accepted":
            profile = payload["csChargingProfiles"]
            profiles = self.charging_profiles.setdefault(identity, {})
            profiles[profile["chargingProfileId"]] = payload
        elif action == "ClearChargingProfile" and status == "Accepted":
            profiles = self.charging_profiles.get(identity, {})
            for number in [each for each, sent in profiles.items() if _is_cleared(sent, payload)]:
                del profiles[number]

    def end_reservation(self, identity: str, reservation_id: int, status: str) -> None:
        """A reservation has been cancelled, or used."""
        reservation = self.reservations.get(identity, {}).get(reservation_id)
        if reservation is not None:
            reservation["status"] = status

    def _learn_configuration(
        self, account: Account, payload: ocpp16.Payload, status: object
    ) -> None:
        key = str(payload["key"]).lower()
        taken = status in ("Accepted", "RebootRequired")
        if key == "authorizationkey":
            (account.take if taken else account.decline)(_key_in(payload))
            self.save(account)
        elif key == "securityprofile" and taken and payload["value"] in ("0", "1", "2", "3"):
            account.next_profile = int(payload["value"])
            self.save(account)

    def describe_stations(self) -> list[Event]:
        """The connected stations, as JSON."""
        return [station.describe() for station in self.stations.values()]


def _key_in(payload: ocpp16.Payload) -> bytes:
    """The AuthorizationKey that a ChangeConfiguration.req sets."""
    try:
        return ocpp16.decode_authorization_key(payload["value"])
    except ValueError:
        return str(payload["value"]).encode()


def _is_cleared(sent: ocpp16.Payload, order: ocpp16.Payload) -> bool:
    """Whether ClearChargingProfile.req means this SetChargingProfile.req (5.4)."""
    profile = sent["csChargingProfiles"]
    if "id" in order:
        return bool(profile["chargingProfileId"] == order["id"])
    described = profile | {"connectorId": sent["connectorId"]}
    names = ("connectorId", "chargingProfilePurpose", "stackLevel")
    return all(order[name] == described[name] for name in names if name in order)
