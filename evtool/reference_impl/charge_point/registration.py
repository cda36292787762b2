# SPDX-License-Identifier: GPL-3.0-or-later
"""BootNotification until it is accepted, then Heartbeat (OCPP 1.6 edition 2, 4.2 and 4.6).

A plain reconnect sends neither again. The pause after a refused BootNotification is the CSMS's,
after one without a usable answer the charge point's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.outbox import DEFAULT_TIMEOUT_MS, Lane, Request

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_HEARTBEAT_TIMEOUT_MS = 4_000
_LONGEST_S = 999_999_999


class Registration:
    """What the CSMS has said to the charge point's introduction.

    Attributes:
        status: Accepted, Pending or Rejected, as the CSMS said last; "" before it has.
    """

    __slots__ = ("_charge_point", "_interval_s", "_next_boot_ms", "_next_heartbeat_ms", "status")

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self.status = ""
        self._interval_s = charge_point.mode.boot_retry_s
        self._next_boot_ms: int | None = 0
        self._next_heartbeat_ms: int | None = None

    @property
    def is_accepted(self) -> bool:
        """The CSMS has accepted the charge point, and has told its time."""
        return self.status == "Accepted"

    def on_open(self) -> None:
        """The connection is open."""
        charge_point = self._charge_point
        if not self.is_accepted and not charge_point.outbox.has("BootNotification"):
            if self._next_boot_ms is None or not charge_point.mode.waits_out_closed:
                self._next_boot_ms = charge_point.now_ms

    def request(self) -> Request:
        """BootNotification, which waits for its answer as long as for its next try."""
        settings = self._charge_point.settings
        payload = {
            "chargePointVendor": settings.vendor,
            "chargePointModel": settings.model,
            "chargePointSerialNumber": settings.serial_number,
            "chargeBoxSerialNumber": settings.charge_box_serial_number,
            "firmwareVersion": settings.firmware_version,
            "iccid": settings.iccid,
            "imsi": settings.imsi,
            "meterSerialNumber": settings.meter_serial_number,
            "meterType": settings.meter_type,
        }
        sent = {name: value for name, value in payload.items() if value}
        timeout_ms = self._interval_s * 1000
        return Request("BootNotification", sent, Lane.BOOT, timeout_ms=timeout_ms)

    def tick(self) -> None:
        """Put what is due into the outbox."""
        charge_point = self._charge_point
        if self._next_heartbeat_ms is None and charge_point.mode.heartbeat_from_start:
            self._next_heartbeat_ms = charge_point.now_ms
        if not self.is_accepted:
            if (
                charge_point.open
                and self._next_boot_ms is not None
                and charge_point.now_ms >= self._next_boot_ms
                and not charge_point.outbox.has("BootNotification")
            ):
                self._next_boot_ms = None
                charge_point.outbox.put(self.request())
            return
        interval_ms = self._heartbeat_ms()
        if self._next_heartbeat_ms is None:
            self._next_heartbeat_ms = charge_point.now_ms
        if charge_point.now_ms - self._next_heartbeat_ms >= interval_ms:
            self._next_heartbeat_ms = charge_point.now_ms
            if charge_point.mode.expires_in_queue:
                expires_ms = charge_point.now_ms + DEFAULT_TIMEOUT_MS
                charge_point.outbox.put(Request("Heartbeat", expires_ms=expires_ms))
            elif charge_point.open and not charge_point.outbox.has("Heartbeat"):
                timeout_ms = min(_HEARTBEAT_TIMEOUT_MS, interval_ms)
                charge_point.outbox.put(Request("Heartbeat", timeout_ms=timeout_ms))

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do."""
        if not self._charge_point.open:
            return None
        if not self.is_accepted:
            return self._next_boot_ms
        if self._next_heartbeat_ms is None:
            return self._charge_point.now_ms
        return self._next_heartbeat_ms + self._heartbeat_ms()

    def on_answer(self, payload: ocpp16.Payload) -> None:
        """A BootNotification.conf that conforms."""
        charge_point = self._charge_point
        charge_point.set_clock(payload["currentTime"])
        interval_s = min(max(payload["interval"], 0), _LONGEST_S)
        if payload["status"] != "Accepted":
            self.status = payload["status"]
            self._interval_s = interval_s or self._interval_s
            self._again(self._interval_s)
        elif charge_point.unix_offset_ms is None:
            # Accepted with a time that nobody can read: without a clock there is no timestamp.
            self._again(self._interval_s)
        else:
            self.status = "Accepted"
            if interval_s:
                charge_point.configuration.set_integer("HeartbeatInterval", interval_s)
                charge_point.persist("HeartbeatInterval", str(interval_s))

    def on_no_answer(self) -> None:
        """Its time-out, which was the pause, is over."""
        self._again(0)

    def on_refusal(self) -> None:
        """A CallError, or an answer that breaks its schema."""
        self._again(self._interval_s)

    def _again(self, seconds: int) -> None:
        self._next_boot_ms = self._charge_point.now_ms + seconds * 1000

    def _heartbeat_ms(self) -> int:
        return self._charge_point.configuration.integer("HeartbeatInterval") * 1000
