# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run needs of a board and of those who write to it; `evtool.cli` brings them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from evtool.errors import EvtoolError
from evtool.protocol.board_flash import BoardFacts, FlashPart
from evtool.protocol.partition_table import Partition
from evtool.provision.boot_proof import ReadableConsole
from evtool.provision.ledger.store import Change

Tell = Callable[[str, Mapping[str, object]], None]
"""Told of each step: its name, and what belongs to it; never a secret."""


class Board(Protocol):
    """One board at its port. Every call ends by its own deadline, with an EvtoolError at worst.

    `evtool.link.esptool_board.EsptoolBoard` is one.
    """

    @property
    def fine(self) -> bool:
        """Whether asking about single sectors is cheap."""

    def connect(self, baudrate: int) -> BoardFacts:
        """Open the port, start the flasher, set the speed, and say what is there."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of flash."""

    def holds(self, parts: Sequence[FlashPart]) -> Sequence[bool]:
        """Whether the flash holds each of the parts: hashes computed on the board."""

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        """Write parts; `on_bytes` is told of every piece of them that is under way."""

    def restart(self) -> None:
        """Leave the flasher and start what the flash holds."""

    def console(self) -> AbstractContextManager[ReadableConsole]:
        """The console from the board's restart on."""

    def close(self) -> None:
        """Give the port back, in whatever state it is; raises nothing."""


class Attempt(Protocol):
    """One try of a whole board."""

    @property
    def number(self) -> int:
        """From 1."""

    @property
    def baudrate(self) -> int:
        """Of the data."""


class Attempts(Protocol):
    """Which failures are worth another try."""

    def first(self) -> Attempt:
        """The try that every board gets."""

    def next(self, last: Attempt, error: EvtoolError) -> Attempt | None:
        """The try after one that ended with `error`; None where another one cannot help."""


class PartsWork(Protocol):
    """One attempt to bring a board's flash to hold some parts."""

    def compare(self) -> Sequence[FlashPart]:
        """What must be written; none where the board's own hashes prove all of it."""

    def bring(self, wanted: Sequence[FlashPart]) -> None:
        """Write what `compare` gave and prove all parts; an EvtoolError where it is not held."""


OpenWork = Callable[[Board, Sequence[FlashPart], Tell], PartsWork]


@dataclass(frozen=True, slots=True)
class Firmware:
    """What every board of the run is to run.

    Attributes:
        build_id: the word behind `build=` in its boot line.
        sha256: over places and contents of the parts, hex.
        partitions: the table among the parts.
    """

    build_id: str
    sha256: str
    parts: tuple[FlashPart, ...]
    partitions: tuple[Partition, ...]
    title: str


class SealedValues(Protocol):
    """Keeps values so that only the sealing key opens them.

    `evtool.provision.secrets.sealed_store.SealedStore` is one.
    """

    def put(self, change: Change, name: str, value: bytes) -> bool:
        """Seal under a new name. False: there is something of this name, which stays."""

    def get(self, name: str) -> bytes | None:
        """What is sealed under `name`; None where there is nothing.

        Raises:
            ConfigError: it was sealed with another key.
        """

    def latest(self, unit: str, name: str) -> tuple[int, bytes] | None:
        """The newest generation of a unit's secret, and its value; None where there is none."""
