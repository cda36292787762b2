# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's run without ports: boards whose flash is memory (or a file), and a real ledger.

What such a board says at its console is what its flash holds: the identity of its NVS partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from mmap import mmap
from pathlib import Path
from secrets import token_bytes
from typing import Any

from flash_project import make_build, make_project
from memory_flash import MemoryFlash

from evtool.cli.fleet_firmware import firmware_of
from evtool.cli.fleet_worker import StationAttempts, mask_of, parts_work
from evtool.errors import EvtoolError
from evtool.flash.image_plan import FlashPlan, parse_manifest, plan_flash
from evtool.link.ledger_database import SqlLedger
from evtool.link.nvs_files import new_keys
from evtool.link.secret_source import SecretSource, generate_key
from evtool.project import ChargePoint, Project, Secret, SecretRef, load_project
from evtool.protocol.board_flash import BoardFacts, ChipInfo
from evtool.protocol.nvs import parse_image
from evtool.provision.evcfg import evcfg_entries
from evtool.provision.fleet.order import UnitOrder, Where
from evtool.provision.run.assignment import Assignment
from evtool.provision.run.fleet_target import FleetTargets, Images
from evtool.provision.run.image import Encryption
from evtool.provision.run.nvs_keys import SealedNvsKeys
from evtool.provision.run.task import Proof, UnitTask
from evtool.provision.run.unit_run import run_unit
from evtool.provision.run.verdict import UnitResult
from evtool.provision.secrets.sealed_store import SealedStore, open_store
from evtool.provision.secrets.unit_secrets import UnitSecretStore
from evtool.provision.security.kept_keys import SealedFlashKeys

FLASH_SIZE = 4 << 20
EVCFG = slice(0x390000, 0x396000)
SEALING_KEY = Secret("5e" * 32)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def mac_of(number: int, serial: int = 0) -> str:
    """A MAC; boards of one test differ in `number`, those of its rounds in `serial`."""
    return f"24:0a:c4:{serial >> 8:02x}:{serial & 0xFF:02x}:{number:02x}"


class MemoryBoard(MemoryFlash):
    """A `provision.run.board.Board`.

    Args:
        number: of its MAC, with `serial`.
        flash: its content, for as long as it exists.
        touched: called after every sector that was written.
    """

    def __init__(
        self,
        number: int,
        flash: bytearray | mmap | None = None,
        touched: Callable[[], None] = lambda: None,
        faults: Mapping[str, Sequence[EvtoolError | None]] | None = None,
        serial: int = 0,
    ) -> None:
        blank = bytearray(b"\xff" * FLASH_SIZE)
        super().__init__(blank if flash is None else flash, faults, touched)
        info = ChipInfo("esp32", "ESP32-D0WD-V3 (revision v3.0)", mac_of(number, serial))
        self.facts = BoardFacts(info, 300, FLASH_SIZE)
        self.says: Callable[[str], str] = boot_line_of

    @property
    def mac(self) -> str:
        return self.facts.chip.mac

    @property
    def identity(self) -> str | None:
        """What its partition holds, if it is whole."""
        content = parse_image(bytes(self.flash[EVCFG]))
        value = None if content.problems else content.get("evcfg", "cp_id")
        return value if isinstance(value, str) else None

    def connect(self, baudrate: int) -> BoardFacts:
        self._call("connect")
        return self.facts

    def read(self, offset: int, size: int) -> bytes:
        self._call("read")
        return bytes(self.flash[offset : offset + size])

    @contextmanager
    def console(self) -> Iterator[MemoryConsole]:
        self._call("console")
        yield MemoryConsole(self)


class MemoryConsole:
    """What the board says once it was restarted."""

    def __init__(self, board: MemoryBoard) -> None:
        self._board = board
        self._text = board.says(board.identity or "-").encode()

    def read(self, timeout_s: float) -> bytes:
        self._board.now_ms += round(timeout_s * 1000)
        said, self._text = self._text[:40], self._text[40:]
        return said


def boot_line_of(identity: str) -> str:
    return f"rst:0x1\r\n[event] boot version=1.2.3 build=cafe charge_point={identity} reset=-\r\n"


@dataclass
class FleetRig:
    """A project, its ledger, and rows.

    Attributes:
        orders: the rows; each has a key of its own, to be generated.
        plan: the build.
    """

    project: Project
    plan: FlashPlan
    ledger: SqlLedger
    orders: list[UnitOrder]
    proof: Proof | None = field(default_factory=lambda: Proof(5_000))
    with_firmware: bool = True
    told: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    @property
    def sealed(self) -> SealedStore:
        return open_store(self.ledger, SEALING_KEY, token_bytes)

    @property
    def secrets(self) -> UnitSecretStore:
        references = SecretSource(self.project.root, create=False)
        return UnitSecretStore(references, self.sealed, generate_key)

    def images(self, **changes: Any) -> Images:
        project, sealed = self.project, self.sealed
        return Images(
            secrets=self.secrets,
            entries=lambda _order, identity: evcfg_entries(identity, project.can, project.limits),
            sealed=sealed,
            firmware=firmware_of(self.plan) if self.with_firmware else None,
            encryption=Encryption(
                SealedNvsKeys(self.ledger, sealed),
                new_keys,
                SealedFlashKeys(self.ledger, sealed, token_bytes).kept,
            ),
            mask=mask_of,
            now=lambda: NOON,
            **changes,
        )

    def task(
        self, *, only_known: bool = False, before: Any = None, newest: Any = None, **changes: Any
    ) -> UnitTask:
        assignment = Assignment(self.orders, self.ledger, only_known=only_known)
        rotating = {} if before is None else {"before": before, "newest": newest}
        return UnitTask(
            targets=FleetTargets(
                assignment,
                self.ledger,
                self.images(**rotating),
            ),
            ledger=self.ledger,
            gates=lambda _facts: None,
            open_work=parts_work,
            attempts=StationAttempts(921_600),
            proof=self.proof,
            **changes,
        )

    def run(self, *boards: MemoryBoard, task: UnitTask | None = None) -> list[UnitResult]:
        """One board after the other, in one run."""
        chosen = task or self.task()
        return [self.run_one(board, chosen) for board in boards]

    def run_one(self, board: MemoryBoard, task: UnitTask) -> UnitResult:
        return run_unit(
            f"port-{board.mac[-2:]}",
            lambda _attempt: board,
            task,
            lambda: board.now_ms,
            lambda name, fields: self.told.append((name, fields)),
        )

    def events(self, unit: str) -> list[str]:
        """What is recorded of a unit, without the claims on its secrets."""
        return [
            record.event
            for record in self.ledger.history(unit=unit)
            if record.event != "claimed" or ["identity", unit] in list(record.fields["claims"])  # type: ignore[call-overload]  # of a record's fields
        ]


def make_rig(root: Path, ledger: SqlLedger, count: int = 5) -> FleetRig:
    """A project in `root` with a build, and `count` rows."""
    path = root / "evtool.toml"
    if not path.exists():
        make_project(root)
        make_build(root / "build" / "host")
    project = load_project(path)
    manifest = root / "build" / "host" / "manifest.json"
    plan = plan_flash(
        parse_manifest(manifest.read_text(), manifest), lambda file: file.read_bytes()
    )
    orders = [order_of(project, number) for number in range(1, count + 1)]
    return FleetRig(project, plan, ledger, orders)


def order_of(
    project: Project, number: int, *, unit: str = "", serial: str = "", **changes: object
) -> UnitOrder:
    """A row; its passphrase stands in a file, its key is to be generated."""
    identity, serial = unit or f"CP-{number:03}", serial or f"SN-{number:03}"
    order = UnitOrder(
        where=Where("fleet.csv", number + 1),
        charge_point=ChargePoint(identity, "Example", "EV-CAN-1", serial, ""),
        wifi_ssid="bench",
        wifi_passphrase=project.wifi.passphrase,
        csms_url="ws://127.0.0.1:9000/ocpp",
        security_profile=1,
        authorization_key=SecretRef("generate"),
        shared=frozenset({"wifi_passphrase"}),
    )
    return replace(order, **changes)  # type: ignore[arg-type]  # names of its fields
