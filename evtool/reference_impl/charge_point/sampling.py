# SPDX-License-Identifier: GPL-3.0-or-later
"""MeterValues of one connector: periodic, at the clock's times, and for StopTransaction.

Sources: OCPP 1.6 edition 2, 3.16 (metering), 4.7 (MeterValues), 9.1 (the keys).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.metering import register_wh, sampled_values
from evtool.reference_impl.charge_point.outbox import Lane, Request
from evtool.reference_impl.controller_types import Report

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.connector import Connector
    from evtool.reference_impl.charge_point.machine import ChargePoint
    from evtool.reference_impl.charge_point.transactions import Transaction

_DAY_MS = 86_400_000


class Sampling:
    """When which values are taken."""

    __slots__ = ("_aligned_ms", "_charge_point", "_connector", "_last_ms", "_next_clock_ms")

    def __init__(self, charge_point: ChargePoint, connector: Connector) -> None:
        self._charge_point = charge_point
        self._connector = connector
        self._last_ms: int | None = None
        self._next_clock_ms: int | None = None  # unix time
        self._aligned_ms = 0  # the interval that it was reckoned with

    def start(self, transaction: Transaction) -> None:
        """A transaction begins."""
        self.record(transaction, "StopTxnSampledData", "Transaction.Begin")
        self.resume()

    def resume(self) -> None:
        """A transaction goes on after a restart."""
        self._last_ms = self._charge_point.now_ms

    def stop(self) -> None:
        """The transaction has ended."""
        self._last_ms = None

    def tick(self) -> None:
        """Take what is due."""
        self._sample_periodically()
        self._sample_at_the_clock()

    def next_due_ms(self) -> int | None:
        """When the next values are due."""
        charge_point, due = self._charge_point, []
        interval_ms = self._interval_ms("MeterValueSampleInterval")
        if self._last_ms is not None and interval_ms:
            due.append(self._last_ms + interval_ms)
        aligned_ms = self._interval_ms("ClockAlignedDataInterval")
        if aligned_ms and charge_point.unix_offset_ms is not None and self._is_clocked():
            unix_ms = charge_point.unix_now()
            due.append(charge_point.now_ms + _next_of_clock(unix_ms, aligned_ms) - unix_ms)
        return min(due, default=None)

    def queue(self, key: str, context: str) -> None:
        """Send MeterValues of the measurands that `key` lists and that are known now, as a message
        of the transaction, if there is one."""
        charge_point, connector = self._charge_point, self._connector
        payload = self._payload(key, context)
        transaction = connector.transaction
        if payload is None:
            return
        if transaction is None:
            charge_point.outbox.put(Request("MeterValues", payload))
            return
        told_wh = register_wh(connector.inputs)
        if told_wh > transaction.meter_wh:
            transaction.meter_wh = told_wh
            charge_point.transactions.keep(transaction)
        charge_point.transactions.queue("MeterValues", payload, transaction)

    def trigger(self, key: str, until_ms: int | None) -> None:
        """Send MeterValues that the CSMS has asked for.

        Args:
            key: lists the measurands.
            until_ms: when their time is over; None for the usual limit.
        """
        payload = self._payload(key, "Trigger")
        if payload is None:
            return
        request = Request("MeterValues", payload, Lane.TRIGGERED)
        request.transaction = self._connector.transaction
        if until_ms is not None:
            request.expires_ms = until_ms
            request.timeout_ms = max(0, until_ms - self._charge_point.now_ms)
        self._charge_point.outbox.put(request)

    def can_tell(self, key: str) -> bool:
        """Whether any of the measurands that `key` lists is known now."""
        return bool(self._values(key, "Trigger"))

    def record(
        self, transaction: Transaction, key: str, context: str, unix_ms: int | None = None
    ) -> None:
        """Keep values for StopTransaction, of this moment where no other is given; of too many
        between begin and end every second goes."""
        values, mode = self._values(key, context), self._charge_point.mode
        if not values:
            return
        records = transaction.records
        if len(records) >= mode.max_records - 1 and context != "Transaction.End":
            if not mode.periodic_records:
                return
            del records[1::2]
        at_ms = self._charge_point.unix_now() if unix_ms is None else unix_ms
        records.append((ocpp16.render_timestamp(at_ms), values))
        self._charge_point.transactions.keep(transaction)

    def _sample_periodically(self) -> None:
        now_ms, interval_ms = (
            self._charge_point.now_ms,
            self._interval_ms("MeterValueSampleInterval"),
        )
        transaction = self._connector.transaction
        if transaction is None or self._last_ms is None or not interval_ms:
            return
        if self._charge_point.mode.unavailable_until_accepted and not (
            self._charge_point.registered
        ):
            self._last_ms = now_ms  # nothing is done before that
            return
        elapsed_ms = now_ms - self._last_ms
        if elapsed_ms < interval_ms or not self._connector.may_tell(Report.SAMPLE):
            return
        # One sample, however long the pause was.
        keeps_grid = self._charge_point.mode.samples_keep_grid
        self._last_ms = now_ms - (elapsed_ms % interval_ms if keeps_grid else 0)
        self.queue("MeterValuesSampledData", "Sample.Periodic")
        if self._charge_point.mode.periodic_records:
            self.record(transaction, "StopTxnSampledData", "Sample.Periodic")

    def _sample_at_the_clock(self) -> None:
        charge_point = self._charge_point
        aligned_ms = self._interval_ms("ClockAlignedDataInterval")
        late_ms = charge_point.mode.late_clock_ms
        if not aligned_ms or charge_point.unix_offset_ms is None or not self._is_clocked():
            if not late_ms:
                self._next_clock_ms = None
            return
        unix_ms = charge_point.unix_now()
        if not late_ms and aligned_ms != self._aligned_ms:
            self._next_clock_ms = None
        ahead_ms = None if self._next_clock_ms is None else self._next_clock_ms - unix_ms
        if ahead_ms is not None and 0 < ahead_ms <= aligned_ms:
            return
        is_due = ahead_ms is not None and (abs(ahead_ms) <= late_ms if late_ms else ahead_ms <= 0)
        if is_due and not self._connector.may_tell(Report.SAMPLE):
            return
        self._next_clock_ms = _next_of_clock(unix_ms, aligned_ms)
        self._aligned_ms = aligned_ms
        if not is_due:
            return
        self.queue("MeterValuesAlignedData", "Sample.Clock")
        transaction = self._connector.transaction
        if transaction is not None:
            self.record(transaction, "StopTxnAlignedData", "Sample.Clock")

    def _is_clocked(self) -> bool:
        if self._connector.transaction is not None:
            return True
        return (
            self._charge_point.mode.samples_outside
            and self._connector.seen
            and self._charge_point.registered
            and self._charge_point.open
        )

    def _interval_ms(self, key: str) -> int:
        return self._charge_point.configuration.integer(key) * 1000

    def _payload(self, key: str, context: str) -> ocpp16.Payload | None:
        charge_point = self._charge_point
        values = self._values(key, context)
        if not values:
            return None
        timestamp = charge_point.timestamp(charge_point.now_ms)
        value = {"timestamp": timestamp, "sampledValue": values}
        return {"connectorId": self._connector.number, "meterValue": [value]}

    def _values(self, key: str, context: str) -> list[dict[str, str]]:
        measurands = self._charge_point.configuration.measurands(key)
        return sampled_values(self._connector.inputs, measurands, context)


def _next_of_clock(unix_ms: int, aligned_ms: int) -> int:
    """The first moment after `unix_ms` that is a multiple of `aligned_ms` from midnight."""
    of_day = unix_ms % _DAY_MS
    return unix_ms - of_day + min((of_day // aligned_ms + 1) * aligned_ms, _DAY_MS)
