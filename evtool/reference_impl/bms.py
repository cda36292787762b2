# SPDX-License-Identifier: GPL-3.0-or-later
"""The vehicle's BMS: what it asks for, whether it is there, and how full its pack is.

Rules:
    alive         a well-formed charge_request came at most 3000 ms ago. This alone says that a
                  vehicle is plugged in: its BMS reaches the bus only through the plug.
    in range      request_min < voltage < request_max and 0 < current <= request_max_ma
    ev_ready      alive, in range, and the control byte says allowed
    state of charge  from replies at most 10000 ms old; an unplug forgets them, because the next
                  vehicle must not inherit them
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_tables import CapacityReply, ChargeRequest, DischargeReply
from evtool.reference_impl.controller_types import CapacitySource, Config
from evtool.reference_impl.freshness import Timed
from evtool.reference_impl.numbers import deci_to_milli, soc_permille

ALIVE_MS = 3000
FEEDBACK_TIMEOUT_MS = 5000
CAPACITY_FRESH_MS = 10000


@dataclass(frozen=True, slots=True)
class Request:
    """One charge_request; `heating` is None for a mode that the protocol does not know."""

    voltage_mv: int
    current_ma: int
    allowed: bool
    heating: bool | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class Capacity:
    """The content of capacity_reply (remaining or lifetime charged, as configured), in mAh."""

    charge_mah: int


@dataclass(frozen=True, slots=True)
class Discharged:
    """Lifetime discharged charge, in mAh."""

    charge_mah: int


def decode_bms_frame(
    frame: CanFrame, source: CapacitySource
) -> Request | Capacity | Discharged | Malformed | None:
    """Read a frame from the BMS; None if it is not one (all 29 bits count), or is remote."""
    if not frame.extended or frame.remote:
        return None
    if frame.can_id == ChargeRequest.ID:
        return _decode_request(frame)
    if frame.can_id == CapacityReply.ID:
        return _decode_capacity(frame, source)
    if frame.can_id == DischargeReply.ID and source is CapacitySource.CHARGED_MINUS_DISCHARGED:
        if frame.dlc < DischargeReply.MIN_LENGTH:
            return Malformed("discharge_reply is short")
        return Discharged(DischargeReply.DISCHARGED.extract(frame.data))
    return None


def _decode_capacity(frame: CanFrame, source: CapacitySource) -> Capacity | Malformed:
    if frame.dlc < CapacityReply.MIN_LENGTH:
        return Malformed("capacity_reply is short")
    remaining = source is CapacitySource.REMAINING
    signal = CapacityReply.REMAINING if remaining else CapacityReply.CHARGED
    return Capacity(signal.extract(frame.data))


def _decode_request(frame: CanFrame) -> Request | Malformed:
    if frame.dlc < ChargeRequest.MIN_LENGTH:
        return Malformed("charge_request is short")
    mode = ChargeRequest.MODE.extract(frame.data)
    heating = {int(ChargeRequest.Mode.HEATING): True, int(ChargeRequest.Mode.CHARGING): False}
    return Request(
        voltage_mv=deci_to_milli(ChargeRequest.VOLTAGE.extract(frame.data)),
        current_ma=deci_to_milli(ChargeRequest.CURRENT.extract(frame.data)),
        allowed=ChargeRequest.CONTROL.extract(frame.data) == ChargeRequest.Control.ALLOWED,
        heating=heating.get(mode),
        raw=frame.data,
    )


class Bms:
    """What the BMS said, and when."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._request: Timed[Request] = Timed()
        self._capacity: Timed[int] = Timed()
        self._discharged: Timed[int] = Timed()

    def receive(self, frame: CanFrame, now_ms: int) -> Malformed | None:
        """Take a frame from the bus on which the BMS is."""
        content = decode_bms_frame(frame, self._config.capacity_source)
        if isinstance(content, Malformed):
            return content
        if isinstance(content, Request):
            self._request.set(content, now_ms)
        elif isinstance(content, Capacity):
            self._capacity.set(content.charge_mah, now_ms)
        elif isinstance(content, Discharged):
            self._discharged.set(content.charge_mah, now_ms)
        return None

    def forget_pack(self) -> None:
        """The vehicle left: its state of charge goes with it."""
        self._capacity.clear()
        self._discharged.clear()

    def request(self, now_ms: int) -> Request | None:
        """The request in force; None, and so no vehicle, without one that is fresh."""
        return self._request.within(ALIVE_MS, now_ms)

    def request_age_ms(self, now_ms: int) -> int | None:
        """Age of the last request, stale or not."""
        return self._request.age_ms(now_ms)

    def in_range(self, request: Request) -> bool:
        """Whether this is one that this charge point may serve."""
        config = self._config
        return (
            config.request_min_mv < request.voltage_mv < config.request_max_mv
            and 0 < request.current_ma <= config.request_max_ma
        )

    def silent(self, now_ms: int) -> bool:
        """The feedback's communication timeout: no request for 5000 ms, or none ever."""
        age_ms = self._request.age_ms(now_ms)
        return age_ms is None or age_ms >= FEEDBACK_TIMEOUT_MS

    def soc_permille(self, now_ms: int) -> int | None:
        """State of charge in 0.1 %, None until it is known and when it is stale."""
        remaining = self._capacity.within(CAPACITY_FRESH_MS, now_ms)
        if remaining is None:
            return None
        if self._config.capacity_source is CapacitySource.CHARGED_MINUS_DISCHARGED:
            discharged = self._discharged.within(CAPACITY_FRESH_MS, now_ms)
            if discharged is None:
                return None
            remaining -= discharged
        return soc_permille(remaining, self._config.battery_capacity_mah)
