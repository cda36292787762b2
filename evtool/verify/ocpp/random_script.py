# SPDX-License-Identifier: GPL-3.0-or-later
"""Random lives: sessions in every order, and between them what goes wrong in the field.

Events keep apart from each other, so that both charge points see them in the same state; what
falls into the same moment all the same does so on both.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evtool.verify.scenario import Event, Scenario

RULE = "docs/verify.md, Both sides of the wire"
CALM_MS = 200_000
SESSIONS = (1, 2, 3, 3, 4, 8)
"""Sessions a life."""
TICK_MS = 100
"""Five times as fast as the controller ticks; OCPP does not notice."""
_RESTART_MS = 14_000
_TAGS = ("GOOD", "GOOD", "GOOD", "OTHER", "LISTED", "BLOCKED", "TURNS")
_ID_TAGS = {"BLOCKED": "Blocked", "TURNS": "Accepted"}
_CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    "AllowOfflineTxForUnknownId": ("true", "false"),
    "AuthorizationCacheEnabled": ("true", "false"),
    "AuthorizeRemoteTxRequests": ("true", "false"),
    "ClockAlignedDataInterval": ("0", "90"),
    "ConnectionTimeOut": ("17", "60"),
    "HeartbeatInterval": ("31", "86400"),
    "LocalAuthorizeOffline": ("true", "false"),
    "LocalPreAuthorize": ("false", "true"),
    "MeterValueSampleInterval": ("0", "11", "60"),
    "MinimumStatusDuration": ("0", "0", "3"),
    "StopTransactionOnEVSideDisconnect": ("true", "true", "false"),
    "StopTransactionOnInvalidId": ("true", "false"),
    "StopTxnSampledData": ("", "Energy.Active.Import.Register,SoC"),
    "TransactionMessageRetryInterval": ("5", "20"),
}
_LIST = [{"idTag": "LISTED", "idTagInfo": {"status": "Accepted"}}]


def random_script(seed: int, *, hasty: bool = False) -> Scenario:
    """The same seed, the same life; short or long.

    Args:
        seed: of the life.
        hasty: half of the events follow the one before within 0.1 to 4 s.
    """
    chance = random.Random(seed)  # noqa: S311 - a life that can be played again
    writer = _Writer(chance, hasty=hasty)
    writer.begin()
    sessions = writer.chance.choice(SESSIONS)
    for _ in range(sessions):
        writer.session()
    writer.calm()
    names = writer.chance.sample(sorted(_CONFIGURATIONS), writer.chance.randrange(6))
    configuration = {name: writer.chance.choice(_CONFIGURATIONS[name]) for name in names}
    return Scenario(
        name=f"random life, seed {seed}",
        title=f"Random sessions: {sessions}",
        rule=RULE,
        duration_ms=writer.at_ms + CALM_MS,
        tick_ms=TICK_MS,
        config={},
        events=tuple(writer.events),
        ocpp={"configuration": configuration, "id_tags": _ID_TAGS},
    )


class _Writer:
    def __init__(self, chance: random.Random, *, hasty: bool) -> None:
        self.chance = chance
        self._hasty = hasty
        self.events: list[Event] = []
        self.at_ms = 6_000
        self._plugged = False

    def begin(self) -> None:
        """The local list, perhaps: changed later it would race with an Authorize on its way."""
        if self.chance.random() < 0.5:
            self._call(
                "SendLocalList",
                {"listVersion": 1, "updateType": "Full", "localAuthorizationList": _LIST},
            )

    def session(self) -> None:
        """Somebody comes, charges perhaps, and goes perhaps."""
        chance = self.chance
        self._arm()
        tag = chance.choice(_TAGS)
        if chance.random() < 0.6:
            self._plug()
            self._trouble(1)
        if chance.random() < 0.7:
            self._do("card", id_tag=tag)
        else:
            self._call("RemoteStartTransaction", {"idTag": tag, "connectorId": 1})
        self._trouble(1)
        if not self._plugged:
            self._plug()
        self._trouble(chance.randrange(4))
        match chance.randrange(6):
            case 0 | 1:
                self._do("card", id_tag=tag)
            case 2:
                self._call("RemoteStopTransaction", {"transactionId": "$transaction"})
            case 3:
                self._do("key", text="t")
            case 4:
                self._unplug()
        self._trouble(1)
        if self._plugged and chance.random() < 0.7:
            self._unplug()

    def calm(self) -> None:
        """Everything is well again, so that what waits is told."""
        self._do("csms", mode="online")
        self._do("error", code="-")
        self._do("module", mode="normal")
        self._do("switch", on=True)
        if self._plugged:
            self._unplug()

    def _trouble(self, most: int) -> None:
        for _ in range(self.chance.randrange(most + 1)):
            self.chance.choice(
                (
                    self._away,
                    self._power_cut,
                    self._vehicle,
                    self._fault,
                    self._profile,
                    self._order,
                    self._order,
                )
            )()

    def _away(self) -> None:
        match self.chance.randrange(3):
            case 0:
                self._do("drop")
            case 1:
                self._do("csms", mode="offline")
                self._trouble(1)
                self._do("csms", mode="online")
            case 2:
                self._do("csms", mode="silent")
                self._trouble(1)
                self._do("csms", mode="online")

    def _power_cut(self) -> None:
        if self.chance.random() < 0.4:
            self._do("power_cut")

    def _vehicle(self) -> None:
        if self._plugged and self.chance.random() < 0.7:
            self._do("switch", on=False)
            self._do("switch", on=True)
        else:
            self._do("module", mode="silent")
            self._do("module", mode="normal")

    def _fault(self) -> None:
        if self.chance.random() < 0.5:
            self._do("error", code=self.chance.choice(("GroundFailure", "UnderVoltage")))
            self._do("error", code="-")

    def _arm(self) -> None:
        """The next messages may find a central system that is not at its best."""
        chance = self.chance
        if chance.random() < 0.5:
            return
        action = chance.choice(("Authorize", "StartTransaction", "StopTransaction", "MeterValues"))
        how = chance.choice(("error", "silence", "drop", "payload"))
        parameters: dict[str, Any] = {"action": action, "with": how, "next": chance.randrange(1, 3)}
        if how == "payload":
            parameters["delay_ms"] = chance.choice((3_000, 9_000))
            if action == "StartTransaction" and chance.random() < 0.5:
                parameters["payload"] = {"idTagInfo": {"status": "Invalid"}}
        self._do("answer", **parameters)

    def _order(self) -> None:
        chance = self.chance
        orders: list[tuple[str, dict[str, Any]]] = [
            ("ChangeAvailability", {"connectorId": chance.choice((0, 1)), "type": "Inoperative"}),
            ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}),
            ("ClearCache", {}),
            ("GetConfiguration", {"key": ["HeartbeatInterval", "ConnectionTimeOut"]}),
            ("ReserveNow", {"connectorId": 1, "expiryDate": "$now+90", "idTag": "GOOD",
                            "reservationId": chance.randrange(1, 4)}),
            ("CancelReservation", {"reservationId": chance.randrange(1, 4)}),
            ("GetLocalListVersion", {}),
            ("TriggerMessage", {"requestedMessage": chance.choice(
                ("StatusNotification", "Heartbeat", "MeterValues"))}),
            ("UnlockConnector", {"connectorId": 1}),
            ("DataTransfer", {"vendorId": "nobody"}),
            ("Reset", {"type": chance.choice(("Soft", "Hard"))}),
            ("RemoteStopTransaction", {"transactionId": 4711}),
            ("ChangeConfiguration", self._change()),
        ]  # fmt: skip
        action, payload = chance.choice(orders)
        self._call(action, payload)
        if action == "Reset":
            self.at_ms += _RESTART_MS  # what happens meanwhile happens to nobody
        if payload.get("type") == "Inoperative":
            self._call("ChangeAvailability", {"connectorId": 0, "type": "Operative"})

    def _profile(self) -> None:
        """A charging profile, or a question about them."""
        chance = self.chance
        match chance.randrange(4):
            case 0 | 1:
                connector_id, profile = random_profile(chance)
                payload = {"connectorId": connector_id, "csChargingProfiles": profile}
                self._call("SetChargingProfile", payload)
            case 2:
                question = {"connectorId": chance.choice((0, 1)), "duration": 300}
                unit = chance.choice(({}, {"chargingRateUnit": "A"}, {"chargingRateUnit": "W"}))
                self._call("GetCompositeSchedule", question | unit)
            case 3:
                wanted: dict[str, Any] = {"id": chance.randrange(1, 4)}
                self._call("ClearChargingProfile", chance.choice((wanted, {})))

    def _change(self) -> dict[str, str]:
        key = self.chance.choice(sorted(_CONFIGURATIONS))
        return {"key": key, "value": self.chance.choice(_CONFIGURATIONS[key])}

    def _plug(self) -> None:
        self._plugged = True
        self._do("plug_in")

    def _unplug(self) -> None:
        self._plugged = False
        self._do("plug_out")

    def _call(self, action: str, payload: dict[str, Any]) -> None:
        self._do("call", action=action, payload=payload)

    def _do(self, action: str, /, **parameters: Any) -> None:
        self.events.append(Event(self.at_ms, 0, action, parameters, {}))
        if self._hasty and self.chance.random() < 0.5:
            self.at_ms += self.chance.randrange(1, 40) * 100 + 20
            return
        # Never a whole second apart: timers of both would fall into the same moment.
        self.at_ms += self.chance.randrange(4, 24) * 1_000 + self.chance.randrange(17, 33) * 20


def random_profile(chance: random.Random) -> tuple[int, dict[str, Any]]:
    """A connectorId with csChargingProfiles; limits in whole ampere."""
    purpose, connector_id = chance.choice(
        (("ChargePointMaxProfile", 0), ("TxDefaultProfile", 0), ("TxDefaultProfile", 1),
         ("TxProfile", 1))
    )  # fmt: skip
    schedule: dict[str, Any] = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": start_s, "limit": chance.choice((0, 6, 17, 25))}
            for start_s in (0, 37, 83)[: chance.randrange(1, 4)]
        ],
    }
    if chance.random() < 0.3:
        schedule["duration"] = 113
    profile: dict[str, Any] = {
        "chargingProfileId": chance.randrange(1, 4),
        "stackLevel": chance.randrange(3),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    if purpose == "ChargePointMaxProfile" or chance.random() < 0.4:
        profile["chargingProfileKind"] = "Absolute"
        schedule["startSchedule"] = chance.choice(("$now-20", "$now+0", "$now+25"))
    if purpose == "TxProfile" and chance.random() < 0.5:
        profile["transactionId"] = "$transaction"
    if chance.random() < 0.3:
        profile |= chance.choice(
            ({"validTo": "$now+71"}, {"validFrom": "$now+31"},
             {"validFrom": "$now-10", "validTo": "$now+43"})
        )  # fmt: skip
    return connector_id, profile


def with_events(scenario: Scenario, events: Sequence[Event]) -> Scenario:
    """The same life with some of its events only."""
    return replace(scenario, events=tuple(events))


def render_script(scenario: Scenario, comment: Sequence[str] = ()) -> str:
    """The scenario file that plays `scenario`."""
    lines = [f"# {line}" for line in comment]
    lines += [
        f"title = {_toml(scenario.title)}",
        f"rule = {_toml(scenario.rule)}",
        f'duration = "{scenario.duration_ms}ms"',
        f"tick_ms = {scenario.tick_ms}",
        "",
        "[ocpp]",
    ]
    lines += [f"{name} = {_toml(value)}" for name, value in (scenario.ocpp or {}).items() if value]
    for event in scenario.events:
        lines += ["", "[[event]]", f'at = "{event.at_ms}ms"', f"do = {_toml(event.action)}"]
        lines += [f"{name} = {_toml(value)}" for name, value in event.parameters.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            inside = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
            return "{ " + inside + " }" if inside else "{}"
        case list() | tuple():
            return "[" + ", ".join(_toml(each) for each in value) + "]"
        case str():
            return json.dumps(value)  # a TOML string too: ASCII, and the same escapes
    return str(value)
