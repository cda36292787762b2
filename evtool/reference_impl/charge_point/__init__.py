# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCPP 1.6J charge point in Python: the oracle for the one on the device."""

from __future__ import annotations

from evtool.reference_impl.charge_point.machine import ChargePoint
from evtool.reference_impl.charge_point.mode import MICROOCPP_1_2_0, MODES, STRICT, Mode
from evtool.reference_impl.charge_point.values import (
    CONNECTOR,
    AskRegister,
    Inputs,
    Noticed,
    Output,
    Persist,
    Reconnect,
    Restart,
    Send,
    Settings,
    Unlock,
)

__all__ = [
    "CONNECTOR",
    "MICROOCPP_1_2_0",
    "MODES",
    "STRICT",
    "AskRegister",
    "ChargePoint",
    "Inputs",
    "Mode",
    "Noticed",
    "Output",
    "Persist",
    "Reconnect",
    "Restart",
    "Send",
    "Settings",
    "Unlock",
]
