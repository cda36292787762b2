# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to the central system, one a line: from stdin, a script, or over HTTP."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence

from evtool.protocol import ocpp16
from evtool.virtual.csms.accounts import Account
from evtool.virtual.csms.authorization import STATUSES, IdTag
from evtool.virtual.csms.central import Csms
from evtool.virtual.csms.faults import parse_fault
from evtool.virtual.csms.masking import shown
from evtool.virtual.csms.orders import COMMANDS, Desk, make_order
from evtool.virtual.csms.ports import Event, Files, NoFiles

_KEY_BYTES = 20
_REGISTRATIONS = ("Accepted", "Pending", "Rejected")

LOCAL: Mapping[str, str] = {
    "call": "STATION ACTION JSON",
    "new_key": "STATION",
    "id_tag": "ID_TAG STATUS [EXPIRY|- [PARENT]]",
    "registration": "STATION Accepted|Pending|Rejected [INTERVAL]",
    "minimum_profile": "STATION 0|1|2|3",
    "disconnect": "STATION [cut]",
    "fault": "STATION|* ACTION|* answer|call|received KIND [VALUE] [xTIMES]",
    "faults": "",
    "clear_faults": "[STATION]",
    "data_transfer_status": "VENDOR STATUS",
    "stations": "",
    "transactions": "[STATION]",
    "id_tags": "",
    "charging_profiles": "STATION",
    "reservations": "STATION",
}
"""The commands beside those of `orders`, with what follows their names."""

NAMES: Sequence[str] = sorted({*COMMANDS, *LOCAL})
"""Of all commands."""


class Control:
    """Carries out commands.

    Args:
        files: what they may name; nothing unless told.
        most: how many transactions `transactions` lists, the latest; None for all.
    """

    def __init__(self, csms: Csms, files: Files | None = None, most: int | None = None) -> None:
        self._csms = csms
        self._most = most
        self._desk = Desk(csms, files or NoFiles())
        self._local: dict[str, Callable[[list[str]], Awaitable[Event]]] = {
            "new_key": self._new_key,
            "id_tag": self._id_tag,
            "registration": self._registration,
            "minimum_profile": self._minimum_profile,
            "disconnect": self._disconnect,
            "fault": self._fault,
            "faults": self._faults,
            "clear_faults": self._clear_faults,
            "data_transfer_status": self._data_transfer_status,
            "stations": self._stations,
            "transactions": self._transactions,
            "id_tags": self._id_tags,
            "charging_profiles": self._charging_profiles,
            "reservations": self._reservations,
        }

    async def obey(self, line: str) -> Event:
        """Carry out one line and return what came of it.

        Raises:
            ValueError: the command, or what it would send, is wrong.
            DeviceError: the station is not connected, did not answer, or with a CallError.
        """
        name, _, rest = line.strip().partition(" ")
        if name == "call":
            return await self._call(rest)
        words = shlex.split(rest)
        if name in COMMANDS:
            order = make_order(self._desk, name, words)
            return await self.ask(name, order.station, order.action, order.payload)
        if name in self._local:
            return await self._local[name](words)
        raise ValueError("the commands are: " + ", ".join(NAMES))

    async def ask(self, command: str, station: str, action: str, payload: ocpp16.Payload) -> Event:
        """Send a Call; the answer as an event, without secrets. Raises as `Csms.ask` does."""
        answer = await self._csms.ask(station, action, payload)
        return {
            "event": "answer",
            "command": command,
            "station": station,
            "action": action,
            "payload": shown(action, answer),
        }

    async def _call(self, rest: str) -> Event:
        words = rest.split(None, 2)
        if len(words) == 2:
            words.append("{}")
        if len(words) != 3:
            raise ValueError("call " + LOCAL["call"])
        try:
            payload = json.loads(words[2])
        except RecursionError as error:
            raise ValueError("the payload is too deep") from error
        if not isinstance(payload, dict):
            raise ValueError("the payload is an object, such as {}")  # noqa: TRY004 - input
        return await self.ask("call", words[0], words[1], payload)

    async def _new_key(self, words: list[str]) -> Event:
        """A key made at random, which nobody gets to see."""
        _expect("new_key", words, 1, 1)
        key = secrets.token_hex(_KEY_BYTES).upper()
        payload = {"key": "AuthorizationKey", "value": key}
        return await self.ask("new_key", words[0], "ChangeConfiguration", payload)

    async def _id_tag(self, words: list[str]) -> Event:
        _expect("id_tag", words, 2, 4)
        if words[1] not in STATUSES:
            raise ValueError("the statuses are: " + ", ".join(sorted(STATUSES)))
        expiry = words[2] if len(words) > 2 and words[2] != "-" else None
        entry = IdTag(words[1], expiry, words[3] if len(words) > 3 else None)
        self._csms.id_tags[words[0]] = entry
        return _answer("id_tag", {"id_tag": words[0]} | entry.describe())

    async def _registration(self, words: list[str]) -> Event:
        _expect("registration", words, 2, 3)
        if words[1] not in _REGISTRATIONS:
            raise ValueError("registration " + LOCAL["registration"])
        account = self._account(words[0])
        interval = _interval(words[2]) if len(words) > 2 else account.interval_s
        account.registration, account.interval_s = words[1], interval
        return _answer("registration", {"status": words[1], "interval": interval})

    async def _minimum_profile(self, words: list[str]) -> Event:
        _expect("minimum_profile", words, 2, 2)
        if words[1] not in ("0", "1", "2", "3"):
            raise ValueError("minimum_profile " + LOCAL["minimum_profile"])
        account = self._account(words[0])
        account.profile, account.next_profile = int(words[1]), None
        self._csms.save(account)
        return _answer("minimum_profile", {"profile": account.profile})

    async def _disconnect(self, words: list[str]) -> Event:
        _expect("disconnect", words, 1, 2)
        await self._csms.station(words[0]).disconnect(politely=words[1:] != ["cut"])
        return _answer("disconnect", {})

    async def _fault(self, words: list[str]) -> Event:
        fault = parse_fault(words)
        self._csms.faults.add(fault)
        return _answer("fault", fault.describe())

    async def _faults(self, _: list[str]) -> Event:
        return {"event": "faults", "faults": self._csms.faults.describe()}

    async def _clear_faults(self, words: list[str]) -> Event:
        _expect("clear_faults", words, 0, 1)
        cleared = self._csms.faults.clear(words[0] if words else None)
        return _answer("clear_faults", {"cleared": cleared})

    async def _data_transfer_status(self, words: list[str]) -> Event:
        _expect("data_transfer_status", words, 2, 2)
        statuses = ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId")
        if words[1] not in statuses:
            raise ValueError("the statuses are: " + ", ".join(statuses))
        self._csms.data_transfer[words[0]] = words[1]
        return _answer("data_transfer_status", {"vendor": words[0], "status": words[1]})

    async def _stations(self, _: list[str]) -> Event:
        return {"event": "stations", "stations": self._csms.describe_stations()}

    async def _transactions(self, words: list[str]) -> Event:
        _expect("transactions", words, 0, 1)
        found = self._csms.ledger.latest(self._most, words[0] if words else None)
        return {"event": "transactions", "transactions": [each.describe() for each in found]}

    async def _id_tags(self, _: list[str]) -> Event:
        tags = {name: entry.describe() for name, entry in self._csms.id_tags.items()}
        return {"event": "id_tags", "id_tags": tags, "unknown": self._csms.id_tags.unknown}

    async def _charging_profiles(self, words: list[str]) -> Event:
        _expect("charging_profiles", words, 1, 1)
        sent = list(self._csms.charging_profiles.get(words[0], {}).values())
        return {"event": "charging_profiles", "station": words[0], "profiles": sent}

    async def _reservations(self, words: list[str]) -> Event:
        _expect("reservations", words, 1, 1)
        made = list(self._csms.reservations.get(words[0], {}).values())
        return {"event": "reservations", "station": words[0], "reservations": made}

    def _account(self, identity: str) -> Account:
        account = self._csms.accounts.get(identity)
        if account is None:
            if identity not in self._csms.stations:
                raise ValueError(f"no station {identity} is known")
            account = self._csms.stations[identity].account
            self._csms.accounts[identity] = account
        return account


def _answer(command: str, payload: ocpp16.Payload) -> Event:
    return {"event": "answer", "command": command, "payload": payload}


def _expect(name: str, words: list[str], least: int, most: int) -> None:
    if not least <= len(words) <= most:
        raise ValueError(f"{name} {LOCAL[name]}".strip())


def _interval(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= 86_400):
        raise ValueError("the interval is 1 to 86400 seconds")
    return int(word)
