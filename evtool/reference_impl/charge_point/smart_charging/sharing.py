# SPDX-License-Identifier: GPL-3.0-or-later
"""How connectors share the ChargePointMaxProfile: it holds for their sum (OCPP 1.6, 3.13.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connector with a transaction may take by its own profiles.

    Attributes:
        limit_ma: per phase; None for as much as there is.
        minimum_ma: below it the vehicle cannot charge (minChargingRate).
    """

    limit_ma: int | None = None
    minimum_ma: int = 0


def share(total_ma: int | None, wishes: Mapping[int, Wish]) -> dict[int, int | None]:
    """Share a current among connectors.

    Equal parts; what one cannot use goes to the others. Where the parts fall below what a
    vehicle needs, the connector with the highest number waits, so that the others can charge.
    The parts never add up to more than the total: connectors are taken to be on the same phase.

    Args:
        total_ma: per phase; None for no limit.
        wishes: by connector, of those with a transaction.

    Returns:
        What each may take in mA, by connector; None for no limit.
    """
    if total_ma is None:
        return {number: wish.limit_ma for number, wish in wishes.items()}
    taking = dict(wishes)
    while True:
        parts = _equal_parts(total_ma, taking)
        starving = [number for number, wish in taking.items() if parts[number] < wish.minimum_ma]
        if not starving:
            return {number: parts.get(number, 0) for number in wishes}
        del taking[max(starving)]


def _equal_parts(total_ma: int, wishes: Mapping[int, Wish]) -> dict[int, int]:
    parts: dict[int, int] = {}
    left = total_ma
    order = sorted(wishes, key=lambda number: (_wanted(wishes[number], total_ma), number))
    for place, number in enumerate(order):
        parts[number] = min(_wanted(wishes[number], total_ma), left // (len(order) - place))
        left -= parts[number]
    return parts


def _wanted(wish: Wish, total_ma: int) -> int:
    return total_ma if wish.limit_ma is None else min(wish.limit_ma, total_ma)
