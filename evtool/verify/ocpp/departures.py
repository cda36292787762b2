# SPDX-License-Identifier: GPL-3.0-or-later
"""What MicroOcpp 1.2.0 is known to do in its own way, by name.

A difference that one of these explains is no fault of the firmware; it is reported with the
name. The numbers are those of docs/firmware.md. What the reference reproduces in its firmware
mode shows only against the strict mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evtool.verify.ocpp.compare import Compared, WireDifference


@dataclass(frozen=True, slots=True)
class Departure:
    """One of the library's ways.

    Attributes:
        name: its number, or a word.
        title: what it is, and why it is allowed.
        explains: whether a difference is this one.
    """

    name: str
    title: str
    explains: Callable[[WireDifference, Compared], bool]


def explanation_of(difference: WireDifference, compared: Compared) -> Departure | None:
    """The departure that explains a difference; None where none does."""
    return next((each for each in DEPARTURES if each.explains(difference, compared)), None)


def _vendor_keys(difference: WireDifference, _: Compared) -> bool:
    return difference.stream in ("configuration", "keys") and difference.what.startswith("Cst_")


def _error_code(difference: WireDifference, _: Compared) -> bool:
    both = (difference.reference, difference.device)
    return difference.stream == "answers" and all(": CALLERROR " in each for each in both)


def _unknown_trigger(difference: WireDifference, _: Compared) -> bool:
    return difference.stream == "answers" and (difference.reference, difference.device) == (
        "TriggerMessage: CALLERROR PropertyConstraintViolation",
        "TriggerMessage: NotImplemented",
    )


def _unknown_connector(difference: WireDifference, _: Compared) -> bool:
    return difference.stream == "answers" and (difference.reference, difference.device) == (
        "TriggerMessage: CALLERROR PropertyConstraintViolation",
        "TriggerMessage: Rejected",
    )


DEPARTURES = (
    Departure(
        "keys",
        "configuration keys of the library's own, Cst_*, which the reference does not have",
        _vendor_keys,
    ),
    Departure(
        "error code",
        "which CALLERROR a malformed call earns (OCPP-J 1.6, 4.2.3 leaves it open)",
        _error_code,
    ),
    Departure(
        "unknown connector",
        "TriggerMessage for a connector that is not there is Rejected, not a CALLERROR",
        _unknown_connector,
    ),
    Departure(
        "D9",
        "a requestedMessage that OCPP does not know is NotImplemented, no CALLERROR",
        _unknown_trigger,
    ),
)
