# SPDX-License-Identifier: GPL-3.0-or-later
"""A plug, a vehicle, a contactor and a meter, as plain as can be: a charge point's hardware.

The meter counts by power: the vehicle draws a constant one while it is permitted, less where
the limit is lower. Its lock can fail, and any OCPP error code can be given to it. Time comes
in as an argument; energy is kept in integers, so nothing is lost to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

VOLTAGE_MV = 230_000
DEFAULT_POWER_MW = 360_000
"""0.1 Wh a second: a session of a few seconds stays within the first watt-hour."""

LOCK_FAILURE = "ConnectorLockFailure"
_MJ_PER_MWH = 3_600
_FULL_PERMILLE = 1_000
_BATTERY_MWH = 50_000_000
_LONGEST_STEP_MS = 3_600_000
_HIGHEST_WH = 1_000_000_000


@dataclass(slots=True)
class PlainConnector:
    """One connector; set the fields to move it.

    Attributes:
        plugged: the vehicle is there.
        paused: the vehicle asks for nothing.
        energy_uj: what the meter has counted, in microjoules.
        soc_permille: state of charge in 0.1 %.
        power_mw: what the vehicle draws.
        max_current_ma: what the hardware can give.
        error: an OCPP error code that the hardware has, "" for none.
        lock_fails, unlock_fails: what the lock does not do.
    """

    plugged: bool = False
    paused: bool = False
    energy_uj: int = 0
    soc_permille: int = 500
    power_mw: int = DEFAULT_POWER_MW
    max_current_ma: int = 48_000
    error: str = ""
    lock_fails: bool = False
    unlock_fails: bool = False
    is_charging: bool = False
    limit_ma: int | None = None
    _now_ms: int | None = None

    def tick(self, now_ms: int, permitted: bool, limit_ma: int | None) -> None:
        """Let time pass: until now what held so far, from now on `permitted` and the limit."""
        if self._now_ms is not None and self.is_charging:
            elapsed_ms = min(max(0, now_ms - self._now_ms), _LONGEST_STEP_MS)
            before = self.energy_mwh
            self.energy_uj += self.drawn_mw * elapsed_ms
            drawn_mwh = self.energy_mwh - before
            self.soc_permille = min(
                _FULL_PERMILLE, self.soc_permille + drawn_mwh * _FULL_PERMILLE // _BATTERY_MWH
            )
        self._now_ms = now_ms
        self.limit_ma = limit_ma
        self.is_charging = (
            permitted and self.plugged and not self.paused and not self.is_faulted
            and limit_ma != 0
        )  # fmt: skip

    @property
    def is_faulted(self) -> bool:
        """The hardware has an error, or could not lock the plug."""
        return bool(self.error) or (self.lock_fails and self.plugged)

    @property
    def error_code(self) -> str:
        """An OCPP error code, or NoError."""
        if self.error:
            return self.error
        return LOCK_FAILURE if self.is_faulted else "NoError"

    @property
    def energy_mwh(self) -> int:
        """The meter's register."""
        return self.energy_uj // (_MJ_PER_MWH * 1000)

    @property
    def offered_ma(self) -> int:
        """What the vehicle may draw."""
        if self.limit_ma is None:
            return self.max_current_ma
        return min(self.limit_ma, self.max_current_ma)

    @property
    def drawn_mw(self) -> int:
        """What the vehicle draws now."""
        if not self.is_charging:
            return 0
        return min(self.power_mw, self.offered_ma * VOLTAGE_MV // 1000)

    def set_register_wh(self, value_wh: int) -> bool:
        """Let the meter jump; False where it would fall or has not so many digits."""
        if not self.energy_mwh // 1000 <= value_wh <= _HIGHEST_WH:
            return False
        self.energy_uj = value_wh * 1000 * _MJ_PER_MWH * 1000
        return True

    def clear(self) -> None:
        """Take every fault away."""
        self.error = ""
        self.lock_fails = self.unlock_fails = False

    def kept(self) -> dict[str, int]:
        """What a power cut does not change, for `take_kept`."""
        return {name: int(getattr(self, name)) for name in _KEPT}

    def take_kept(self, kept: dict[str, int]) -> None:
        """Be as an earlier one was left; a missing or senseless value stays as it is."""
        for name, value in kept.items():
            if name in _KEPT and value >= 0:
                kind = type(getattr(self, name))
                setattr(self, name, kind(value))


_KEPT = tuple(
    field.name
    for field in fields(PlainConnector)
    if field.name in ("plugged", "paused", "energy_uj", "soc_permille")
)
