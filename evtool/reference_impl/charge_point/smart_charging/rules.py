# SPDX-License-Identifier: GPL-3.0-or-later
"""What a charge point accepts as a charging profile, and where MicroOcpp departs from OCPP."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PROFILES = 10
MAX_STACK_LEVEL = 7
MAX_PERIODS = 24


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits, and each decision in which MicroOcpp 1.2.0 differs from the specification.

    Attributes:
        max_stack_level: ChargeProfileMaxStackLevel.
        max_periods: ChargingScheduleMaxPeriods.
        max_profiles: MaxChargingProfilesInstalled.
        stacks_connectors: TxDefaultProfiles of connector 0 and of the connector are one stack,
            in which the higher level counts and the connector's own wins at the same level
            (paragraph 3.13.2). MicroOcpp: the connector's own win at any level.
        default_without_transaction: a composite schedule without a transaction is what one that
            starts now would get, TxDefaultProfile and all (D26).
        converts_units: a limit in W is told in A and the other way round, where voltage and
            phases are known, and -1 is never sent (D27).
        merges_equal: neighbours with the same limit are one period.
        replaces_when_full: a profile that replaces another needs no free place (D41).
        raises_to_minimum: minChargingRate raises a lower limit. To the specification it only
            advises the local distribution among connectors.
        refuses_with_status: a profile that makes no sense is answered with Rejected; MicroOcpp
            says PropertyConstraintViolation.
        maximum_may_be_relative: a ChargePointMaxProfile may be Relative, although no transaction
            starts it.
        tells_start: a composite schedule holds a startSchedule, the time of the question, beside
            scheduleStart.
        mends_composites: the device's adapter puts right what the library says in a composite
            schedule (D27): the hardware's limit for -1, 3 phases where none are named, nothing
            twice, and watt at the highest voltage.
        includes_end: a profile is still valid in the second that validTo names.
        refuses_early_id: a RemoteStartTransaction whose profile names a transactionId is refused:
            it must not (paragraph 5.16.2), and the vehicle would charge without the limit.
        refuses_before: the adapter answers with Rejected before the library sees it: another
            purpose than TxProfile in a RemoteStartTransaction, and a Recurring profile that does
            not say when it recurs.
    """

    max_stack_level: int = MAX_STACK_LEVEL
    max_periods: int = MAX_PERIODS
    max_profiles: int = MAX_PROFILES
    stacks_connectors: bool = True
    default_without_transaction: bool = True
    converts_units: bool = True
    merges_equal: bool = True
    replaces_when_full: bool = True
    raises_to_minimum: bool = False
    refuses_with_status: bool = True
    maximum_may_be_relative: bool = False
    tells_start: bool = False
    mends_composites: bool = False
    includes_end: bool = False
    refuses_early_id: bool = True
    refuses_before: bool = False


STRICT_RULES = Rules()
MICROOCPP_RULES = Rules(
    max_stack_level=8,
    stacks_connectors=False,
    default_without_transaction=False,
    converts_units=False,
    merges_equal=False,
    replaces_when_full=False,
    raises_to_minimum=True,
    refuses_with_status=False,
    maximum_may_be_relative=True,
    tells_start=True,
    includes_end=True,
    refuses_early_id=False,
)
