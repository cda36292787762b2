# SPDX-License-Identifier: GPL-3.0-or-later
"""Smart charging (OCPP 1.6, paragraph 3.13): profiles, limits, composite schedules."""

from __future__ import annotations

from evtool.reference_impl.charge_point.smart_charging.composite import (
    Composite,
    composite_schedule,
)
from evtool.reference_impl.charge_point.smart_charging.limit import Limit, Supply
from evtool.reference_impl.charge_point.smart_charging.profile import (
    RECURS_UNSAID,
    Profile,
    read_profile,
)
from evtool.reference_impl.charge_point.smart_charging.rules import (
    MAX_PERIODS,
    MAX_PROFILES,
    MAX_STACK_LEVEL,
    MICROOCPP_RULES,
    STRICT_RULES,
    Rules,
)
from evtool.reference_impl.charge_point.smart_charging.sharing import Wish, share
from evtool.reference_impl.charge_point.smart_charging.store import ProfileStore

__all__ = [
    "MAX_PERIODS",
    "MAX_PROFILES",
    "MAX_STACK_LEVEL",
    "MICROOCPP_RULES",
    "RECURS_UNSAID",
    "STRICT_RULES",
    "Composite",
    "Limit",
    "Profile",
    "ProfileStore",
    "Rules",
    "Supply",
    "Wish",
    "composite_schedule",
    "read_profile",
    "share",
]
