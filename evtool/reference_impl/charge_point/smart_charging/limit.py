# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of current, power and phases, and how one becomes the other.

A limit in A is a current per phase; a limit in W is the power of all phases together. Both
hold at once: with n phases at U volts the current is at most min(A, W / (U x n)).
"""

from __future__ import annotations

from dataclasses import dataclass

_PHASES_UNLESS_SAID = 3  # OCPP 1.6, ChargingSchedulePeriod.numberPhases


@dataclass(frozen=True, slots=True)
class Supply:
    """What feeds the connectors.

    Attributes:
        max_current_ma: what one connector can give, per phase: the limit where no profile
            sets one.
        voltage_mv: of one phase against neutral, or of the direct current; 0 for unknown, and
            then no unit is converted.
        phases: 1 to 3; 0 for direct current.
        connectors: how many connectors there are.
    """

    max_current_ma: int = 300_000
    voltage_mv: int = 0
    phases: int = 0
    connectors: int = 1

    @property
    def units(self) -> tuple[str, ...]:
        """The units in which a limit can be carried out."""
        return ("A", "W") if self.voltage_mv else ("A",)

    def conductors(self, phases: int | None) -> int:
        """How many phases carry current under a limit that names `phases`."""
        return min(phases or _PHASES_UNLESS_SAID, self.phases) or 1

    def power_mw(self, current_ma: int, phases: int | None) -> int:
        """The power of a current per phase."""
        return current_ma * self.voltage_mv * self.conductors(phases) // 1000

    def current_ma(self, power_mw: int, phases: int | None) -> int:
        """The current per phase of a power; 0 where the voltage is not known."""
        divisor = self.voltage_mv * self.conductors(phases)
        return power_mw * 1000 // divisor if divisor else 0


@dataclass(frozen=True, slots=True)
class Limit:
    """What profiles allow at a moment; None: they say nothing about it.

    Attributes:
        current_ma: per phase.
        power_mw: of all phases together.
        phases: how many of them may be used.
        minimum_ma: the least current that the vehicle can use (minChargingRate).
    """

    current_ma: int | None = None
    power_mw: int | None = None
    phases: int | None = None
    minimum_ma: int = 0

    def both(self, other: Limit) -> Limit:
        """The limit under which both hold."""
        return Limit(
            _least(self.current_ma, other.current_ma),
            _least(self.power_mw, other.power_mw),
            _least(self.phases, other.phases),
            max(self.minimum_ma, other.minimum_ma),
        )

    def in_amperes(self, supply: Supply) -> int | None:
        """The current per phase in mA, None for no limit."""
        if self.power_mw is None:
            return self.current_ma
        return _least(self.current_ma, supply.current_ma(self.power_mw, self.phases))

    def in_watts(self, supply: Supply) -> int | None:
        """The power in mW, None for no limit."""
        if self.current_ma is None:
            return self.power_mw
        return _least(self.power_mw, supply.power_mw(self.current_ma, self.phases))


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
