# SPDX-License-Identifier: GPL-3.0-or-later
"""One unit secured, in an order in which it may be killed at any instant and continued.

::

    connect   who it is; the MAC must be the one that was agreed to
    plan      every burn; refused here, or not at all
    keep      the keys, sealed, before anything is burned with them
    keys      burned; by themselves they change nothing
    try       the chip enciphers a sector, and it must be what the kept key makes of it
    write     signed and encrypted firmware, NVS keys, evcfg; the board's hashes prove it
    switch    encryption and secure boot on; then the locks
    boot      the unit starts, if that was asked for
    loader    the serial loader locked, if that was asked for

Until the switch a unit that was left behind starts nothing, and the next run goes on. Whatever the
chip has already is neither burned nor written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.board_flash import SECTOR, BoardFacts, FlashPart
from evtool.protocol.chip_fuses import FuseState, secured
from evtool.protocol.flash_cipher import host_cipher
from evtool.protocol.partition_table import Partition
from evtool.provision.evcfg_encryption import KeptNvsKeys
from evtool.provision.security.burn import Burn, Kind, SecurityWish, Stage
from evtool.provision.security.images import encrypt_parts, sign_parts
from evtool.provision.security.nvs import Generate, nvs_parts
from evtool.provision.security.plan import SecurityPlan, plan_security

T = TypeVar("T")
Tell = Callable[[str, Mapping[str, object]], None]
"""Told of each step: its name, and what belongs to it; never a secret."""
Record = Callable[[str, str, Mapping[str, object]], None]
"""Files an event of the ledger for a MAC, durably."""


class Fuses(Protocol):
    """A connected chip's fuses; `evtool.link.chip_fuses.ChipFuses` are some."""

    def read(self) -> FuseState:
        """All of them, as they are now."""

    def burn_key(self, block: str, key: bytes, purpose: str | None) -> None:
        """A secret key; then hide and protect it."""

    def burn_digest(self, block: str, digest: bytes, purpose: str | None) -> None:
        """The hash of a public key; then protect it."""

    def burn_field(self, name: str, value: int) -> None:
        """Bits of a field."""

    def write_protect(self, name: str) -> None:
        """No more burning of a field."""


class Console(Protocol):
    """What a board says."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or b"" when nothing does in time."""


class Board(Protocol):
    """The board at one port; `evtool.link.esptool_board.EsptoolBoard` is one."""

    def connect(self, baudrate: int) -> BoardFacts:
        """Open the port, and say what is there."""

    def with_fuses(self, work: Callable[[Fuses], T]) -> T:
        """`work` on the fuses of the connected chip."""

    def read(self, offset: int, size: int) -> bytes:
        """Flash as it stands."""

    def holds(self, parts: Sequence[FlashPart]) -> Sequence[bool]:
        """Whether the flash holds each of the parts."""

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        """Write parts as they are."""

    def enciphered(self, offset: int, sector: bytes) -> bytes:
        """What the flash holds when the chip has put `sector` through its cipher, to `offset`."""

    def restart(self) -> None:
        """Start what the flash holds."""

    def console(self) -> AbstractContextManager[Console]:
        """The console from a restart on; gives the flasher's port up."""

    def close(self) -> None:
        """Give the port back."""


class KeptFlashKeys(Protocol):
    """The flash encryption keys of chips, sealed, found by MAC; one for each, for ever."""

    def kept(self, mac: str) -> bytes | None:
        """The key of a chip, 32 bytes."""

    def make(self, mac: str) -> bytes:
        """The key of a chip; where it has none, a new one, kept durably before this returns."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the unit will run, as it was built.

    Attributes:
        partitions: the table among the parts.
        sign: adds the signature of a key that the chip will trust; None: the images have one.
    """

    parts: tuple[FlashPart, ...]
    partitions: tuple[Partition, ...]
    sign: Callable[[bytes], bytes] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SecurityOrder:
    """What is to be done to one unit.

    Attributes:
        mac: of the chip for which a person agreed to what cannot be undone.
        prove: reads the board's console until it has said what it must; None: not asked.
    """

    mac: str
    wish: SecurityWish
    firmware: Firmware
    baudrate: int
    prove: Callable[[Console], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Secured:
    """What was done.

    Attributes:
        burned: the fuses of this run; none where the chip had all of them.
        written: the parts of this run.
        boot: what the unit said at its start.
    """

    facts: BoardFacts
    burned: tuple[Burn, ...]
    written: tuple[str, ...]
    boot: Mapping[str, str] | None


def secure_unit(
    order: SecurityOrder,
    board: Board,
    flash_keys: KeptFlashKeys,
    nvs_keys: KeptNvsKeys,
    new_nvs_keys: Generate,
    record: Record,
    tell: Tell,
) -> Secured:
    """Secure the unit at `board`.

    Args:
        record: files events durably: `planned` before the first burn of a run, and
            `security_enabled`.

    Raises:
        ConfigError: another board than the one agreed to; images that cannot be signed.
        SecurityRefused: this chip cannot have it.
        CheckFailed: what was written is not there, or what was burned did not take.
        DeviceError, LinkTimeout: port, cable, board. The same run continues.
    """
    try:
        return _Run(order, board, record, tell).all(flash_keys, nvs_keys, new_nvs_keys)
    finally:
        board.close()


class _Run:
    def __init__(
        self,
        order: SecurityOrder,
        board: Board,
        record: Record,
        tell: Tell,
    ) -> None:
        self._order = order
        self._board = board
        self._record = record
        self._tell = tell
        self._burned: list[Burn] = []

    def all(
        self, flash_keys: KeptFlashKeys, nvs_keys: KeptNvsKeys, new_nvs_keys: Generate
    ) -> Secured:
        order, wish = self._order, self._order.wish
        facts = self._connect()
        chip, mac = facts.chip.chip, facts.chip.mac
        # Everything that can be refused is refused before a key is made or a fuse is burned.
        kept = flash_keys.kept(mac) if wish.flash_encryption else None
        plan = self._plan(facts, kept)
        firmware = order.firmware
        parts = firmware.parts
        if wish.digests:
            parts = sign_parts(
                parts,
                firmware.partitions,
                chip,
                wish.digests,
                firmware.sign,
                lambda offset: self._sectors(chip, offset, kept),
            )
        key = flash_keys.make(mac) if wish.flash_encryption else None
        if key is not None:
            cipher = host_cipher(chip, key)
            own = nvs_parts(
                mac, firmware.partitions, self._board.read, cipher, nvs_keys, new_nvs_keys
            )
            parts = (*encrypt_parts(parts, firmware.partitions, chip, cipher), *own)
        plan = self._plan(facts, key)
        self._tell("plan", {"burns": [burn.as_dict() for burn in plan.burns]})
        if plan.burns:
            burns = [burn.as_dict() for burn in plan.burns]
            self._record("planned", plan.mac, {"security": burns})
        self._burn(plan.of(Stage.KEYS))
        state = self._check(facts, key, Stage.KEYS)
        if key is not None and not secured(state):
            self._try(chip, key, firmware.parts[0].offset)
        written = self._write(parts)
        self._burn(plan.of(Stage.SWITCHES, Stage.LOCKS))
        state = self._check(facts, key, Stage.KEYS, Stage.SWITCHES, Stage.LOCKS)
        boot = self._boot()
        self._enabled(state, False)
        last = plan.of(Stage.LOADER)
        if last:
            if order.prove is not None:
                self._connect()
            # From here on nobody can ask the chip any more.
            self._burn(last)
            self._enabled(state, True)
        if order.prove is None or last:
            self._board.restart()
        return Secured(facts, tuple(self._burned), written, boot)

    def _connect(self) -> BoardFacts:
        facts = self._board.connect(self._order.baudrate)
        if facts.chip.mac != self._order.mac:
            raise ConfigError(
                f"the board is {facts.chip.mac or 'one that does not say its MAC'}, "
                f"agreed was {self._order.mac}",
                fix="connect the right board, or agree to what cannot be undone for this one",
            )
        self._tell("connected", {"mac": facts.chip.mac, "chip": facts.chip.chip})
        return facts

    def _plan(self, facts: BoardFacts, key: bytes | None) -> SecurityPlan:
        state = self._board.with_fuses(lambda fuses: fuses.read())
        return self._plan_for(state, facts, key)

    def _plan_for(self, state: FuseState, facts: BoardFacts, key: bytes | None) -> SecurityPlan:
        return plan_security(
            state, self._order.wish, revision=facts.revision, key=key, kept=key is not None
        )

    def _check(self, facts: BoardFacts, key: bytes | None, *stages: Stage) -> FuseState:
        """The fuses, of which nothing of these stages is left to burn.

        Raises:
            CheckFailed: a burn did not take. Before the switch nothing is lost by that.
        """
        state = self._board.with_fuses(lambda fuses: fuses.read())
        left = self._plan_for(state, facts, key).of(*stages)
        if left:
            raise CheckFailed(
                f"{state.mac}: {', '.join(burn.fuse for burn in left)} did not burn as it should",
                fix="run the command again; if it stays so, take this board out",
            )
        return state

    def _sectors(self, chip: str, offset: int, key: bytes | None) -> tuple[bytes, ...]:
        """The sector of the flash at `offset`, as it stands and through the unit's cipher."""
        raw = self._board.read(offset, SECTOR)
        return (raw,) if key is None else (host_cipher(chip, key).decrypt(offset, raw), raw)

    def _burn(self, burns: Sequence[Burn]) -> None:
        for burn in burns:
            self._tell("burn", burn.as_dict())
            self._board.with_fuses(partial(burn_one, burn=burn))
            self._burned.append(burn)

    def _try(self, chip: str, key: bytes, offset: int) -> None:
        """See that the chip has the key that is kept for it, as long as nothing depends on it.

        Raises:
            CheckFailed: it has another one, or none.
        """
        self._tell("try", {"offset": offset})
        sector = bytes(range(256)) * (SECTOR // 256)
        if self._board.enciphered(offset, sector) != host_cipher(chip, key).encrypt(offset, sector):
            raise CheckFailed(
                f"{self._order.mac}: the chip does not encipher with the key that is kept for it; "
                "nothing is switched on",
                fix="somebody else has burned a key into it: take this board out",
            )

    def _write(self, parts: Sequence[FlashPart]) -> tuple[str, ...]:
        held = self._board.holds(parts)
        wanted = [part for part, there in zip(parts, held, strict=True) if not there]
        total = sum(len(part.data) for part in wanted)
        if not wanted:
            return ()
        self._tell("write", {"bytes": total, "parts": [part.name for part in wanted]})
        self._board.write(wanted, lambda count: self._tell("progress", {"bytes": count}))
        wrong = [
            part.name
            for part, there in zip(wanted, self._board.holds(wanted), strict=True)
            if not there
        ]
        if wrong:
            raise CheckFailed(
                f"{', '.join(wrong)}: the flash does not hold what was written to it",
                fix="run the command again; if it stays so, the flash chip is worn",
            )
        return tuple(part.name for part in wanted)

    def _enabled(self, state: FuseState, loader_locked: bool) -> None:
        wish = self._order.wish
        fields = {
            "secured": list(secured(state)),
            "mode": "release" if wish.release else "development",
            "secure_boot_digests": [digest.hex() for digest in wish.digests],
            "loader_locked": loader_locked,
        }
        self._record("security_enabled", state.mac, fields)

    def _boot(self) -> Mapping[str, str] | None:
        prove = self._order.prove
        if prove is None:
            return None
        self._tell("boot", {})
        self._board.restart()
        with self._board.console() as console:
            return prove(console)


def burn_one(fuses: Fuses, burn: Burn) -> None:
    """Do one burn."""
    if burn.kind is Kind.KEY:
        fuses.burn_key(burn.fuse, burn.data, burn.purpose)
    elif burn.kind is Kind.DIGEST:
        fuses.burn_digest(burn.fuse, burn.data, burn.purpose)
    elif burn.kind is Kind.FIELD:
        fuses.burn_field(burn.fuse, burn.value)
    else:
        fuses.write_protect(burn.fuse)
