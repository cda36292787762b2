# SPDX-License-Identifier: GPL-3.0-or-later
"""What a connector may take now, with the charge point's maximum shared among those that charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evtool.reference_impl.charge_point.smart_charging import Wish, share

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.connector import Connector
    from evtool.reference_impl.charge_point.machine import ChargePoint


def shared_limit_ma(charge_point: ChargePoint, connector: Connector) -> int | None:
    """The limit per phase in mA, None for none.

    Until the CSMS has told the time no profile can say what holds now: nothing flows that one
    might forbid.
    """
    if charge_point.unix_offset_ms is None:
        return 0
    unix_ms, supply = charge_point.unix_now(), charge_point.supply()
    profiles = charge_point.profiles
    whole_ma = profiles.limit(unix_ms, None, 0).in_amperes(supply)
    wishes = {}
    for each in charge_point.connectors:
        transaction = each.transaction
        if transaction is not None:
            limit = profiles.limit(unix_ms, transaction.started_unix_ms, each.number)
            wishes[each.number] = Wish(limit.in_amperes(supply), limit.minimum_ma)
    if connector.number not in wishes:
        return whole_ma
    return share(whole_ma, wishes)[connector.number]
