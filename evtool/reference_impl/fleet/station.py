# SPDX-License-Identifier: GPL-3.0-or-later
"""One charge point of a fleet: the reference charge point, and a day's coming and going at it.

A vehicle comes, its driver holds a card to the reader, it draws power, the card ends that, it
leaves; then a pause. Where a share `s` of the fleet is to charge at any time, a pause is as
long as the charging times (1 - s) / s; a station that is accepted enters this life at a random
moment of it, so that the load is even from the start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from evtool.reference_impl.charge_point import (
    AskRegister,
    ChargePoint,
    Inputs,
    Noticed,
    Persist,
    Reconnect,
    Restart,
    Send,
    Settings,
    Unlock,
)
from evtool.reference_impl.charge_point.effects import Download, Upload
from evtool.reference_impl.fleet.tally import Tally

_MV = 400_000
_MA = 27_500
_TAIL = 60
_SHORTEST_PAUSE_MS = 2_000
_PATIENCE_MS = 1_000
_NO_VEHICLE = Inputs(evse_ready=True)


@dataclass(frozen=True, slots=True)
class Load:
    """What every station does.

    Attributes:
        share: which part of the fleet charges at any time, 0 to 1.
        transaction_ms: how long a vehicle stays.
        id_tag: the card of every driver.
        heartbeat_s: the interval, whatever the central system says; None: as it says.
    """

    share: float
    transaction_ms: int
    id_tag: str
    heartbeat_s: int | None = None

    @property
    def pause_ms(self) -> int:
        """How long no vehicle is there; only where `share` is above 0."""
        return max(_SHORTEST_PAUSE_MS, round(self.transaction_ms * (1 - self.share) / self.share))


class Station:
    """One charge point. Times are monotonic milliseconds.

    Attributes:
        must_reconnect: the charge point wants its connection closed and opened anew.
    """

    __slots__ = (
        "_charge_point", "_dice", "_energy_mwh", "_has_entered", "_load", "_moves_ms", "_pending",
        "_plugged_ms", "_send", "_settings", "_stored", "_tally", "must_reconnect",
    )  # fmt: skip

    def __init__(self, settings: Settings, load: Load, tally: Tally, dice: Random) -> None:
        self._settings = settings
        self._load = load
        self._tally = tally
        self._dice = dice
        self._charge_point = ChargePoint(settings)
        self._send: Callable[[str], None] | None = None
        self._stored: dict[str, str] | None = None
        self._pending: tuple[str, str, float] | None = None  # unique id, action, when it was sent
        self._moves_ms: int | None = None
        self._plugged_ms: int | None = None
        self._energy_mwh = 0
        self._has_entered = False
        self.must_reconnect = False

    @property
    def is_charging(self) -> bool:
        """A transaction runs."""
        return self._charge_point.connectors[0].transaction is not None

    @property
    def is_done(self) -> bool:
        """After `leave`: nothing runs, and the central system has taken all."""
        return not self.is_charging and not self._charge_point.outbox.undelivered()

    @property
    def ping_interval_s(self) -> int:
        """WebSocketPingInterval: seconds between pings, 0 for none."""
        return self._charge_point.configuration.integer("WebSocketPingInterval")

    def on_open(self, send: Callable[[str], None], now_ms: float) -> None:
        """The connection is open; `send` takes texts for it."""
        self._send = send
        self._charge_point.on_open(int(now_ms))
        self._carry_out(now_ms)

    def on_closed(self, now_ms: float, *, wanted: bool = False) -> None:
        """The connection has closed; what waits for an answer is an error unless we wanted it."""
        if self._send is None:
            return
        self._send = None
        if self._pending is not None and not wanted:
            self._tally.errors[f"{self._pending[1]}: connection lost"] += 1
        self._pending = None
        self._charge_point.on_closed(int(now_ms))
        self._carry_out(now_ms)

    def on_text(self, text: str, now_ms: float) -> None:
        """A text from the central system."""
        self._count(text, now_ms)
        self._charge_point.on_text(text, int(now_ms))
        self._carry_out(now_ms)
        if not self._has_entered and self._charge_point.registered:
            self._enter(int(now_ms))

    def tick(self, now_ms: float) -> None:
        """Let time pass."""
        moment = int(now_ms)
        if self._moves_ms is not None and moment >= self._moves_ms:
            self._move(moment)
        if self._plugged_ms is not None:
            self._charge_point.on_inputs(self._inputs(moment), moment)
        else:
            self._charge_point.tick(moment)
        self._carry_out(now_ms)

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do."""
        due = self._charge_point.next_due_ms()
        if self._moves_ms is None or (due is not None and due <= self._moves_ms):
            return due
        return self._moves_ms

    def leave(self, now_ms: float) -> None:
        """End what runs, and begin nothing any more."""
        self._has_entered, self._moves_ms = True, None
        self._charge_point.on_inputs(self._inputs(int(now_ms)), int(now_ms))
        self._charge_point.on_stop_request("Local", int(now_ms))
        if self._plugged_ms is not None:
            self._unplug(int(now_ms))
        self._carry_out(now_ms)

    # Vehicles

    def _enter(self, now_ms: int) -> None:
        """The central system has accepted the charge point for the first time."""
        load = self._load
        self._has_entered = True
        if load.heartbeat_s is not None:
            self._charge_point.configuration.set_integer("HeartbeatInterval", load.heartbeat_s)
        if load.share <= 0:
            return
        if self._dice.random() < load.share:
            self._move(now_ms)
            self._moves_ms = now_ms + self._dice.randint(1, load.transaction_ms)
        else:
            self._moves_ms = now_ms + self._dice.randint(1, load.pause_ms)

    def _move(self, now_ms: int) -> None:
        """The next vehicle comes, or the one that is there leaves."""
        load, charge_point = self._load, self._charge_point
        if self._plugged_ms is None:
            self._plugged_ms = now_ms
            self._moves_ms = now_ms + load.transaction_ms
            charge_point.on_inputs(self._inputs(now_ms), now_ms)
            charge_point.on_card(load.id_tag, now_ms)
            return
        charge_point.on_inputs(self._inputs(now_ms), now_ms)
        if self.is_charging:
            charge_point.on_card(load.id_tag, now_ms)
        elif self._pending is not None:
            self._moves_ms = now_ms + _PATIENCE_MS  # its card is about to be judged
            return
        else:
            self._tally.errors["no transaction while a vehicle was there"] += 1
        self._unplug(now_ms)
        self._moves_ms = now_ms + load.pause_ms

    def _unplug(self, now_ms: int) -> None:
        self._energy_mwh = self._inputs(now_ms).energy_mwh
        self._plugged_ms = None
        self._charge_point.on_inputs(self._inputs(now_ms), now_ms)

    def _inputs(self, now_ms: int) -> Inputs:
        if self._plugged_ms is None:
            return dataclasses.replace(_NO_VEHICLE, energy_mwh=self._energy_mwh)
        power_mw = _MV * _MA // 1000
        elapsed_ms = now_ms - self._plugged_ms
        return Inputs(
            plugged=True,
            ev_ready=True,
            evse_ready=True,
            energy_mwh=self._energy_mwh + power_mw * elapsed_ms // 3_600_000,
            power_mw=power_mw,
            measured_mv=_MV,
            measured_ma=_MA,
            offered_ma=32_000,
            temperature_mdegc=31_500,
            soc_permille=min(1000, 200 + elapsed_ms // 10_000),
        )

    # The wire

    def _carry_out(self, now_ms: float) -> None:
        while outputs := self._charge_point.drain():
            maintenance = self._charge_point.maintenance
            for output in outputs:
                match output:
                    case Send(text):
                        self._tell(text, now_ms)
                    case Persist(key, value):
                        self._keep(key, value)
                    case AskRegister():
                        self._charge_point.on_inputs(self._inputs(int(now_ms)), int(now_ms))
                    case Unlock(connector):
                        self._charge_point.on_unlocked(connector, True, int(now_ms))
                    case Restart():
                        self._restart()
                    case Reconnect():
                        self.must_reconnect = True
                    case Download(ticket):  # nothing is fetched or sent at such a number
                        maintenance.on_downloaded(ticket, None, int(now_ms))
                    case Upload():
                        maintenance.on_uploaded(output, "UploadFailure", int(now_ms))
                    case Noticed(what):
                        self._tally.errors[f"noticed: {what}"] += 1

    def _tell(self, text: str, now_ms: float) -> None:
        if self._send is None:
            return
        if text.startswith("[2,"):
            _, unique_id, _, action, _ = text.split('"', 4)
            if self._pending is not None:  # one at a time: the one before has timed out
                self._tally.errors[f"{self._pending[1]}: no answer"] += 1
            self._pending = (unique_id, action, now_ms)
            self._tally.sent[action] += 1
        self._send(text)

    def _count(self, text: str, now_ms: float) -> None:
        kind = text.lstrip("[ \r\n\t")[:1]
        if kind == "2":
            self._tally.asked[_field(text, 3)] += 1
        elif kind in ("3", "4") and self._pending is not None:
            unique_id, action, sent_ms = self._pending
            if _field(text, 1) != unique_id:
                return  # the charge point itself notices it
            self._pending = None
            if kind == "3":
                self._tally.answered(action, now_ms - sent_ms)
                self._tally.transactions += action == "StartTransaction"
            else:
                self._tally.errors[f"{action}: {_field(text, 3)}"] += 1

    def _keep(self, key: str, value: str | None) -> None:
        """What a restart would find; of most stations nothing but what runs at the moment."""
        if self._stored is None:
            self._stored = {}
        if value is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = value

    def _restart(self) -> None:
        """The central system asked for a reset: a new start on what was kept."""
        prefix = f"{self._settings.id_prefix[:12]}{self._dice.getrandbits(24):06x}"
        stored = dict(self._stored or {})
        self._charge_point = ChargePoint(
            dataclasses.replace(self._settings, id_prefix=prefix, stored=stored)
        )
        self._plugged_ms = self._moves_ms = self._pending = None
        self._has_entered = False
        self.must_reconnect = True


def _field(text: str, number: int) -> str:
    """The text between the quotes that begin at that one; what is no message has none."""
    parts = text.split('"', number + 1)
    return parts[number][:_TAIL] if len(parts) > number else "?"
