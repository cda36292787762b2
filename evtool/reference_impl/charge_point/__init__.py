# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCPP 1.6J charge point in Python: the oracle for the one on the device."""

from __future__ import annotations

from evtool.reference_impl.charge_point.machine import ChargePoint
from evtool.reference_impl.charge_point.values import (
    CONNECTOR,
    AskRegister,
    Inputs,
    Output,
    Persist,
    Restart,
    Send,
    Settings,
)

__all__ = [
    "CONNECTOR",
    "AskRegister",
    "ChargePoint",
    "Inputs",
    "Output",
    "Persist",
    "Restart",
    "Send",
    "Settings",
]
