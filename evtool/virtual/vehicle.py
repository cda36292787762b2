# SPDX-License-Identifier: GPL-3.0-or-later
"""A vehicle: a battery, its BMS on the CAN bus, and a plug.

The BMS reaches the bus only through the plug: unplugged, it neither sends nor hears. It asks
for a constant voltage and for a current that tapers from 90 % of charge on, and forbids
charging when the battery is full or its switch is off.

The battery is a voltage that rises in a line with the charge, behind a resistance. It keeps
its charge in milliampere-milliseconds, so that short steps lose nothing to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import (
    CapacityQuery,
    CapacityReply,
    ChargeFeedback,
    ChargeRequest,
    DischargeQuery,
    DischargeReply,
)

_MA_MS_PER_MAH = 3_600_000
_TAPER_FROM_PERMILLE = 900
_FULL_PERMILLE = 1000


class Pack(Enum):
    """How the pack tells its charge; the values are those of `capacity_source`."""

    REMAINING = "remaining"
    CHARGED_MINUS_DISCHARGED = "charged_minus_discharged"


@dataclass(frozen=True, slots=True)
class VehicleSettings:
    """The battery and what its BMS asks for; the defaults are a 72 V pack of 30 Ah."""

    capacity_mah: int = 30_000
    empty_mv: int = 60_000
    full_mv: int = 82_000
    resistance_mohm: int = 50
    request_mv: int = 84_000
    request_ma: int = 30_000
    taper_end_ma: int = 1_500
    period_ms: int = ChargeRequest.PERIOD_MS
    pack: Pack = Pack.REMAINING
    lifetime_discharged_mah: int = 1_234_567


class Vehicle:
    """The model; `on_frame` and `tick` return the frames that the BMS sends."""

    def __init__(self, settings: VehicleSettings | None = None, soc_permille: int = 550) -> None:
        self.settings = settings or VehicleSettings()
        self.plugged = False
        self.switch_on = True
        self.heating = False
        self.silent = False
        self.feedback: bytes | None = None
        """The last charge_feedback heard since the vehicle was plugged in."""
        self._charge_ma_ms = (
            self.settings.capacity_mah * _MA_MS_PER_MAH * soc_permille // _FULL_PERMILLE
        )
        self._next_request_ms: int | None = None

    @property
    def soc_permille(self) -> int:
        """State of charge in 0.1 %."""
        full = self.settings.capacity_mah * _MA_MS_PER_MAH
        return self._charge_ma_ms * _FULL_PERMILLE // full

    @property
    def charge_ma_ms(self) -> int:
        """Charge in the battery, in milliampere-milliseconds."""
        return self._charge_ma_ms

    @property
    def remaining_mah(self) -> int:
        """Charge in the battery."""
        return self._charge_ma_ms // _MA_MS_PER_MAH

    @property
    def open_circuit_mv(self) -> int:
        """What the battery would show with no current."""
        settings = self.settings
        full = settings.capacity_mah * _MA_MS_PER_MAH
        return settings.empty_mv + (
            (settings.full_mv - settings.empty_mv) * self._charge_ma_ms // full
        )

    @property
    def requested_ma(self) -> int:
        """The current that the BMS asks for at this state of charge."""
        settings = self.settings
        above = max(0, self.soc_permille - _TAPER_FROM_PERMILLE)
        span = settings.request_ma - settings.taper_end_ma
        return settings.request_ma - span * above // (_FULL_PERMILLE - _TAPER_FROM_PERMILLE)

    @property
    def allows_charging(self) -> bool:
        """What the control byte says."""
        return self.switch_on and self.soc_permille < _FULL_PERMILLE

    def plug_in(self) -> None:
        """Connect the plug; the first charge_request goes out at the next tick."""
        self.plugged = True
        self._next_request_ms = None

    def plug_out(self) -> None:
        """Pull the plug."""
        self.plugged = False
        self.feedback = None

    def charge(self, current_ma: int, elapsed_ms: int) -> None:
        """Take `current_ma` for `elapsed_ms`; the battery holds no more than full."""
        full = self.settings.capacity_mah * _MA_MS_PER_MAH
        charge = self._charge_ma_ms + current_ma * elapsed_ms
        self._charge_ma_ms = charge if 0 <= charge <= full else max(0, min(charge, full))

    def on_frame(self, frame: CanFrame) -> list[CanFrame]:
        """Hear a frame; return the answers. Whatever is not for a BMS is ignored."""
        if not self.plugged or self.silent or not frame.extended or frame.remote:
            return []
        match frame.can_id:
            case ChargeFeedback.ID if len(frame.data) >= ChargeFeedback.MIN_LENGTH:
                self.feedback = frame.data
            case CapacityQuery.ID:
                return [self._capacity_reply()]
            case DischargeQuery.ID if self.settings.pack is Pack.CHARGED_MINUS_DISCHARGED:
                data = bytearray(DischargeReply.LENGTH)
                DischargeReply.DISCHARGED.insert(data, self.settings.lifetime_discharged_mah)
                return [CanFrame(DischargeReply.ID, bytes(data))]
        return []

    def tick(self, now_ms: int) -> list[CanFrame]:
        """The charge_request, when its period has come."""
        if not self.plugged or self.silent:
            self._next_request_ms = None
            return []
        if self._next_request_ms is not None and now_ms < self._next_request_ms:
            return []
        self._next_request_ms = now_ms + self.settings.period_ms
        return [self._charge_request()]

    def _charge_request(self) -> CanFrame:
        data = bytearray(ChargeRequest.LENGTH)
        ChargeRequest.VOLTAGE.insert(data, min(self.settings.request_mv // 100, 0xFFFF))
        ChargeRequest.CURRENT.insert(data, min(self.requested_ma // 100, 0xFFFF))
        allowed = ChargeRequest.Control.ALLOWED
        ChargeRequest.CONTROL.insert(data, allowed if self.allows_charging else 1)
        mode = ChargeRequest.Mode.HEATING if self.heating else ChargeRequest.Mode.CHARGING
        ChargeRequest.MODE.insert(data, mode)
        return CanFrame(ChargeRequest.ID, bytes(data))

    def _capacity_reply(self) -> CanFrame:
        data = bytearray(CapacityReply.LENGTH)
        if self.settings.pack is Pack.REMAINING:
            CapacityReply.REMAINING.insert(data, min(self.remaining_mah, 0xFFFF))
        else:
            charged = self.settings.lifetime_discharged_mah + self.remaining_mah
            CapacityReply.CHARGED.insert(data, charged & 0xFFFFFFFF)
        return CanFrame(CapacityReply.ID, bytes(data))
