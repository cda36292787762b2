# SPDX-License-Identifier: GPL-3.0-or-later
"""What the central system needs from outside: connections, a store, files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from evtool.virtual.csms.records import StoredStation, TransactionRecord

Event = dict[str, object]
"""Something that happened, ready for JSON; `event` names it, secrets are masked."""

Report = Callable[[Event], None]


class Connection(Protocol):
    """An open WebSocket; both raise DeviceError once it has closed."""

    async def recv(self) -> str:
        """The next text."""

    async def send(self, text: str) -> None:
        """Send a text."""


@runtime_checkable
class Wire(Protocol):
    """What a connection can do besides, so that faults can be had on it."""

    async def recv(self) -> str:
        """The next text."""

    async def send(self, text: str) -> None:
        """Send a text."""

    async def send_slowly(self, text: str, pause_s: float) -> None:
        """Send a text byte by byte, with a pause after each."""

    async def close(self) -> None:
        """Close it as the protocol wants it."""

    def abort(self) -> None:
        """Cut it: no goodbye, the peer sees a reset."""

    def stall(self) -> None:
        """Go half-open: nothing is read or sent any more, and it stays open."""


class Store(Protocol):
    """Where transactions and credentials outlive the process.

    What `begin` and `end` were given is on the disk when they return; what the others were
    given survives the end of the process.
    """

    def transactions(self) -> Sequence[TransactionRecord]:
        """All that were ever begun, oldest first."""

    def stations(self) -> Iterable[StoredStation]:
        """The stations whose credentials have changed since they were configured."""

    def begin(self, record: TransactionRecord) -> None:
        """A transaction has begun."""

    def find(self, start_key: tuple[object, ...]) -> TransactionRecord | None:
        """The transaction that began so (`TransactionRecord.start_key`)."""

    def end(self, record: TransactionRecord, meter_values: Sequence[Any] = ()) -> None:
        """It has ended, with these meter values in the StopTransaction: both, or neither."""

    def add_meter_values(self, transaction_id: int, meter_values: Sequence[Any]) -> None:
        """MeterValues of a transaction, as they came."""

    def save_station(self, station: StoredStation) -> None:
        """The credentials of a station have changed."""


class Memory:
    """A store that forgets."""

    def transactions(self) -> Sequence[TransactionRecord]:
        """None."""
        return ()

    def stations(self) -> Iterable[StoredStation]:
        """None."""
        return ()

    def begin(self, record: TransactionRecord) -> None:
        """Nothing to keep."""

    def find(self, start_key: tuple[object, ...]) -> TransactionRecord | None:
        """Nothing was kept."""
        del start_key
        return None

    def end(self, record: TransactionRecord, meter_values: Sequence[Any] = ()) -> None:
        """Nothing to keep."""

    def add_meter_values(self, transaction_id: int, meter_values: Sequence[Any]) -> None:
        """Nothing to keep."""

    def save_station(self, station: StoredStation) -> None:
        """Nothing to keep."""


class Files(Protocol):
    """The files that stations fetch and send."""

    def read(self, name: str) -> bytes:
        """A file that a command names. Raises ValueError where it cannot be read."""

    def firmware(self, name: str) -> bytes:
        """A firmware image. Raises ValueError where there is none of that name."""

    def firmware_url(self, name: str) -> str:
        """Where a station fetches it. Raises ValueError where nothing is served."""

    def upload_url(self, station: str) -> str:
        """Where a station sends its logs to. Raises ValueError where nothing is taken."""


class NoFiles:
    """Where no files are served."""

    def read(self, name: str) -> bytes:
        """Never."""
        raise ValueError(f"{name}: no files can be named here")

    def firmware(self, name: str) -> bytes:
        """Never."""
        raise ValueError(f"{name}: no firmware is served")

    def firmware_url(self, name: str) -> str:
        """Never."""
        raise ValueError(f"{name}: no firmware is served; give a URL, or --firmware DIR")

    def upload_url(self, station: str) -> str:
        """Never."""
        raise ValueError(f"no uploads are taken from {station}; give a URL, or --uploads DIR")
