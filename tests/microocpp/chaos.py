# SPDX-License-Identifier: GPL-3.0-or-later
"""Hours of a charge point's life in virtual time, and everything goes wrong in them.

    python -m microocpp.chaos --program build/host_asan/program --hours 2 --seed 1

A failure names its seed, which plays the same life again. What a known defect of the library may
lose (docs/firmware.md, What remains) is counted by its number; nothing else may be lost.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from microocpp.chaos_csms import ATTEMPTS, MOODS, NOON_MS, ChaosCsms, Ledger
from microocpp.truth import Charge, Truth
from microocpp.unit import STEP_MS, Unit, compact

from evtool.protocol import ocpp16

TAGS = ("GOOD", "GOOD", "GOOD", "GOOD", "OTHER", "BAD", "TURNS")
_CALM_S = 900
_SAME_MS = 3_000
_CONFIGURATIONS = tuple(
    {"key": key, "value": value}
    for key, *values in (
        ("MeterValueSampleInterval", "0", "7"),
        ("ClockAlignedDataInterval", "0", "30"),
        ("StopTxnSampledData", "Energy.Active.Import.Register,SoC"),
        ("StopTxnAlignedData", "Voltage"),
        ("StopTransactionOnInvalidId", "false", "true"),
        ("StopTransactionOnEVSideDisconnect", "false", "true"),
        ("ConnectionTimeOut", "20"),
        ("HeartbeatInterval", "13"),
        ("TransactionMessageRetryInterval", "5"),
        ("AuthorizeRemoteTxRequests", "false", "true"),
        ("AuthorizationKey", "0" * 40),
    )
    for value in values
)


class Chaos:
    """One life."""

    def __init__(self, program: Path, storage: Path, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)  # noqa: S311 - a life that can be played again
        self.unit = Unit(program, storage, nonce=seed << 20)
        self.csms = ChaosCsms(self.unit, self.chance)
        self.truth = Truth(self.unit.bench.module, lambda: self.csms.grants)
        self.counts: Counter[str] = Counter()
        self.excused: Counter[str] = Counter()
        self._is_off = True
        self._off_until = 0
        self._bus_until = 0
        self._reset = "power_on"
        self.unit.on_state = self._on_state

    def run(self, seconds: float) -> None:
        """Live through it, then in peace until everything is told, and settle the accounts."""
        self._boot()
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self._misfortune()
            self._step()
        self._make_peace()
        for _ in range(_CALM_S * 1000 // STEP_MS):
            self._step()
        assert self.unit.state["transaction"] == "0"
        self.unit.finish()
        self.csms.power_lost()  # what is not answered by now never will be
        self._settle()

    def _on_state(self, ordered_on: bool) -> None:
        unit = self.unit
        self.truth.see(unit.state, ordered_on, unit.bus_runs, unit.now_ms)

    def _boot(self) -> None:
        self._is_off = False
        self.truth.booted(self.unit.now_ms)
        self.unit.boot(self._reset)
        self._notice_off()

    def _step(self) -> None:
        unit = self.unit
        if unit.off is not None and unit.now_ms >= self._off_until:
            self._boot()
        if not unit.bus_runs and unit.now_ms >= self._bus_until and unit.recovery_wanted:
            unit.bus_back()
        self.csms.tick()
        unit.step()
        self._notice_off()

    def _notice_off(self) -> None:
        unit = self.unit
        if unit.off is None or self._is_off:
            return
        self._is_off = True
        self.counts[f"off {unit.off}"] += 1
        self.truth.cut(unit.now_ms)
        self.csms.power_lost()
        self._reset = "software" if unit.off == "restart" else "power_on"
        self._off_until = unit.now_ms + self.chance.choice((STEP_MS, 1000, 20_000))

    def _misfortune(self) -> None:
        if self.chance.random() > 0.003:
            return
        name = self.chance.choices(list(_MISFORTUNES), list(_MISFORTUNES.values()))[0]
        self.counts[name] += 1
        getattr(self, "_" + name)()

    def _plug(self) -> None:
        vehicle = self.unit.bench.vehicle
        if vehicle.plugged:
            if self.chance.random() < 0.25:
                vehicle.plug_out()
        else:
            vehicle.plug_in()
            vehicle.charge(-vehicle.charge_ma_ms // 2, 1)  # another one, half empty

    def _switch(self) -> None:
        self.unit.bench.vehicle.switch_on = self.chance.random() < 0.85

    def _card(self) -> None:
        if self.unit.powered:
            self.unit.outbox.append("card " + self.chance.choice(TAGS))

    def _key(self) -> None:
        if self.unit.powered:
            self.unit.outbox.append("key " + self.chance.choice(("73", "74")))

    def _bus(self) -> None:
        self._bus_until = self.unit.now_ms + self.chance.choice((500, 2000, 10_000))
        self.unit.bus_off()

    def _hot(self) -> None:
        hot = self.chance.random() < 0.2
        self.unit.bench.command("module hot" if hot else "module normal")

    def _bms(self) -> None:
        self.unit.bench.command("bms silent" if self.chance.random() < 0.2 else "bms normal")

    def _kill(self) -> None:
        if self.unit.powered:
            self.unit.kill()
            self._notice_off()

    def _cut(self) -> None:
        if self.unit.powered:
            self.unit.outbox.append(f"cut {self.chance.randrange(12)}")

    def _mood(self) -> None:
        self.csms.mood = self.chance.choice(MOODS)

    def _drop(self) -> None:
        self.csms.drop()

    def _garbage(self) -> None:
        self.csms.garbage()

    def _error(self) -> None:
        if self.unit.powered:
            self.unit.outbox.append("error " + self.chance.choice(("-", "-", "-", "GroundFailure")))

    def _order(self) -> None:
        chance = self.chance
        tag = chance.choice(("GOOD", "TURNS"))
        orders: list[tuple[str, dict[str, Any]]] = [  # some more often than others
            ("RemoteStartTransaction", {"connectorId": 1, "idTag": tag}),
            *[("RemoteStartTransaction", {"idTag": "OTHER"})] * 5,
            ("RemoteStopTransaction", {"transactionId": len(self.csms.ledger)}),
            ("ChangeConfiguration", chance.choice(_CONFIGURATIONS)),
            ("GetConfiguration", {}),
            ("ClearCache", {}),
            ("Reset", {"type": chance.choice(("Hard", "Soft"))}),
            ("UnlockConnector", {"connectorId": 1}),
            ("ChangeAvailability", {"connectorId": chance.choice((0, 1)),
                                    "type": chance.choice(("Inoperative", *["Operative"] * 9))}),
            ("TriggerMessage", {"requestedMessage": chance.choice(
                ("MeterValues", "StatusNotification", "Heartbeat", "BootNotification"))}),
            ("DataTransfer", {"vendorId": "x"}),
            ("GetLocalListVersion", {}),
            ("SendLocalList", {"listVersion": chance.randrange(1, 9), "updateType": "Full",
                               "localAuthorizationList": []}),
            ("ReserveNow", {"connectorId": chance.choice((0, 1)), "expiryDate": self._soon(),
                            "idTag": "GOOD", "reservationId": 1}),
            ("CancelReservation", {"reservationId": 1}),
            ("SetChargingProfile", self._profile()),
            ("ClearChargingProfile", {}),
            ("GetCompositeSchedule", {"connectorId": chance.choice((0, 1)), "duration": 300}),
        ]  # fmt: skip
        self.csms.ask(*chance.choice(orders))

    def _soon(self) -> str:
        return ocpp16.render_timestamp(NOON_MS + self.unit.now_ms + 30_000)

    def _profile(self) -> dict[str, Any]:
        purpose = self.chance.choice(("ChargePointMaxProfile", "TxDefaultProfile"))
        periods = [
            {"startPeriod": 0, "limit": self.chance.choice((0, 6, 16.5, 40))},
            {"startPeriod": 40, "limit": 20},
        ]
        return {
            "connectorId": 0,
            "csChargingProfiles": {
                "chargingProfileId": self.chance.randrange(1, 14),
                "stackLevel": self.chance.randrange(0, 8),
                "chargingProfilePurpose": purpose,
                "chargingProfileKind": "Relative" if purpose == "TxDefaultProfile" else "Absolute",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "duration": 90,
                    "startSchedule": self._soon(),
                    "chargingSchedulePeriod": periods,
                },
            },
        }

    def _make_peace(self) -> None:
        unit = self.unit
        self.csms.mood = "fine"
        unit.bench.command("module normal")
        unit.bench.command("plug_out")
        self._bus_until = 0
        if unit.off is not None:
            self._off_until = 0
            self._boot()
        ends = {"key": "StopTransactionOnEVSideDisconnect", "value": "true"}
        self.csms.ask("ChangeConfiguration", ends)

    # --- the accounts -------------------------------------------------------------

    def _settle(self) -> None:
        records = sorted(self.csms.ledger.values(), key=lambda each: each.transaction_id)
        left = list(self.truth.charges)
        for record in records:
            charge = self._charge_of(record, left)
            if charge is None:
                hidden = any(
                    0 <= cut - record.started_ms <= 2 * _SAME_MS for cut in self.truth.cuts_ms
                )
                assert hidden, f"the central system has a transaction that never was: {record}"
                self.counts["hidden by a cut"] += 1
            else:
                left.remove(charge)
            self._check_end(record, charge)
        for charge in left:
            self._excuse_missing(charge)

    @staticmethod
    def _charge_of(record: Ledger, charges: list[Charge]) -> Charge | None:
        def distance(charge: Charge) -> int:
            return abs(record.started_ms - charge.started_ms)

        same = [each for each in charges if each.meter_start == record.meter_start]
        if same and distance(nearest := min(same, key=distance)) <= _SAME_MS:
            return nearest
        # One that the power cut hid was seen first when it was taken up again.
        hidden = [each for each in charges if each.meter_start is None]
        later = [each for each in hidden if each.started_ms + _SAME_MS >= record.started_ms]
        return min(later, key=distance, default=None)

    def _check_end(self, record: Ledger, charge: Charge | None) -> None:
        assert record.id_tag != "BAD", record
        if record.stops == 0:
            self._excuse_open(record)
            return
        assert record.meter_stop is not None
        assert record.meter_stop >= record.meter_start, record
        if charge is not None:
            assert charge.meter_stop is not None, f"it ended at the central system alone: {record}"
            least, most = charge.meter_stop
            assert least <= record.meter_stop <= most, (record, charge)

    def _excuse_open(self, record: Ledger) -> None:
        start = next(key for key, each in self.csms.ledger.items() if each is record)
        if start in self.csms.broken:
            self.excused["D13"] += 1
        elif self._failures("StartTransaction", start[2]) >= ATTEMPTS:
            self.excused["D5"] += 1
        else:
            stop = f'"transactionId":{record.transaction_id},'
            assert self._failures("StopTransaction", stop) >= ATTEMPTS, f"never ended: {record}"
            self.excused["given up after 3 attempts"] += 1

    def _excuse_missing(self, charge: Charge) -> None:
        for text, failures in self.csms.failed.items():
            if text.startswith("StartTransaction") and failures >= ATTEMPTS:
                started = ocpp16.parse_timestamp(_field(text, "timestamp"))
                assert started is not None
                if abs(started - NOON_MS - charge.started_ms) <= _SAME_MS:
                    self.excused["D5"] += 1
                    return
        raise AssertionError(f"the central system never heard of {charge}")

    def _failures(self, action: str, part: str) -> int:
        return max(
            (n for text, n in self.csms.failed.items() if text.startswith(action) and part in text),
            default=0,
        )


def _field(text: str, name: str) -> str:
    return text.partition(f'"{name}":"')[2].partition('"')[0]


# How often each happens, beside the others.
_MISFORTUNES = {
    "plug": 8, "switch": 3, "card": 14, "key": 2, "bus": 3, "hot": 2, "bms": 2, "kill": 1,
    "cut": 3, "mood": 8, "drop": 5, "garbage": 10, "error": 1, "order": 25,
}  # fmt: skip


def main() -> int:
    """The command line; exit code 1 where something was wrong."""
    parser = argparse.ArgumentParser(description="a charge point's life in chaos")
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as storage:
        chaos = Chaos(options.program, Path(storage), options.seed)
        try:
            chaos.run(options.hours * 3600)
        except AssertionError as error:
            sys.stderr.write(f"seed {options.seed}, {chaos.unit.now_ms / 1000:.2f} s: {error}\n")
            return 1
        finally:
            chaos.unit.kill()
    charges = len(chaos.truth.charges)
    document = {
        "seed": options.seed,
        "hours": options.hours,
        "transactions": charges,
        "energy_wh": chaos.unit.stored_mwh // 1000,
        "excused": dict(chaos.excused),
        "happened": dict(chaos.counts),
        "messages": dict(chaos.csms.messages),
    }
    sys.stdout.write(compact(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
