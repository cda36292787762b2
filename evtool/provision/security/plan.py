# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a chip's fuses are to what is burned: nothing twice, and nothing against them.

A chip that is in the middle of it, because power or host went, is planned for like any other: what
is burned already is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from evtool.errors import DeviceError
from evtool.protocol.chip_fuses import SECURITY_FUSES, FuseState
from evtool.provision.security.burn import Burn, Kind, SecurityWish, Stage
from evtool.provision.security.key_blocks import SecurityRefused, digest_burns, encryption_key_burns
from evtool.provision.security.settings import LOADER, SETTINGS, Setting

_COUNTER_BITS = {"esp32": 7, "esp32s3": 3, "esp32c3": 3}
CHIPS = tuple(_COUNTER_BITS)


@dataclass(frozen=True, slots=True)
class SecurityPlan:
    """What will be burned into one chip, in order.

    Attributes:
        mac: of the chip.
        burns: none where all is as it shall be.
        already: fuses that are right.
        notes: what a person should know before agreeing.
    """

    chip: str
    mac: str
    burns: tuple[Burn, ...]
    already: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def of(self, *stages: Stage) -> tuple[Burn, ...]:
        """The burns of some stages."""
        return tuple(burn for burn in self.burns if burn.stage in stages)


def plan_security(
    state: FuseState, wish: SecurityWish, *, revision: int | None, key: bytes | None, kept: bool
) -> SecurityPlan:
    """What to burn for `wish`.

    Args:
        state: the chip's fuses.
        revision: 100 times the major number plus the minor one.
        key: the unit's flash encryption key, 32 bytes; None: in a plan that is only shown.
        kept: whether a key for this chip is kept.

    Raises:
        SecurityRefused: naming every reason why this chip cannot have it.
    """
    if state.chip not in CHIPS:
        raise DeviceError(
            f"evtool secures {', '.join(CHIPS)}, not {state.chip}", fix="connect another board"
        )
    problems = list(_general_problems(state, wish, revision))
    burns: list[Burn] = []
    already: list[str] = []
    if wish.flash_encryption:
        burns += encryption_key_burns(state, key, kept, problems, already)
    taken = {burn.fuse for burn in burns}
    burns += digest_burns(state, wish, taken, problems, already)
    wanted = [each for each in SETTINGS if _wanted(each, wish, state.chip)]
    for setting in wanted:
        burns += _setting(state, setting, problems, already)
    if wish.flash_encryption:
        burns += _counter(state, wish, problems, already)
    burns.sort(key=_place)
    if wish.lock_loader:
        burns += _setting(state, LOADER[state.chip], problems, already)
    if problems:
        raise SecurityRefused(state.mac, problems)
    return SecurityPlan(state.chip, state.mac, tuple(burns), tuple(already), tuple(_notes(wish)))


def _place(burn: Burn) -> tuple[int, bool]:
    """By stage; encryption goes on before secure boot does."""
    counters = {each.cipher_count for each in SECURITY_FUSES.values()}
    return list(Stage).index(burn.stage), burn.fuse not in counters


def _general_problems(state: FuseState, wish: SecurityWish, revision: int | None) -> Iterator[str]:
    if not wish.flash_encryption and not wish.digests:
        yield "neither flash encryption nor secure boot was asked for"
    if state.chip != "esp32":
        return
    if state.value("CODING_SCHEME") != 0:
        yield "its fuses use the coding scheme 3/4, which leaves no room for these keys"
    if wish.digests and (revision is None or revision < 300):
        yield "secure boot version 2 needs revision 3.0 or later of the ESP32"
    if state.value("ABS_DONE_0"):
        yield "secure boot version 1 is switched on, which evtool does not sign for"


def _wanted(setting: Setting, wish: SecurityWish, chip: str) -> bool:
    belongs = (setting.encryption and wish.flash_encryption) or (
        setting.boot and bool(wish.digests)
    )
    return belongs and chip in setting.chips and (wish.release or not setting.release)


def _setting(
    state: FuseState, setting: Setting, problems: list[str], already: list[str]
) -> Iterator[Burn]:
    fuse = state[setting.fuse]
    if setting.kind is Kind.WRITE_PROTECT:
        if not fuse.writeable:
            already.append(f"{setting.fuse} write-protected")
            return
    elif fuse.value & setting.value == setting.value:
        already.append(setting.fuse)
        return
    elif not fuse.writeable:
        problems.append(f"{setting.fuse} is {fuse.value:#x} and write-protected")
        return
    yield Burn(setting.stage, setting.kind, setting.fuse, setting.why, fuse.value | setting.value)


def _counter(
    state: FuseState, wish: SecurityWish, problems: list[str], already: list[str]
) -> Iterator[Burn]:
    """Flash encryption's counter: an odd number of bits is on, all of them are for good."""
    name = SECURITY_FUSES[state.chip].cipher_count
    fuse, bits = state[name], _COUNTER_BITS[state.chip]
    every = (1 << bits) - 1
    is_on = fuse.value.bit_count() % 2 == 1
    if fuse.value == every or (is_on and not wish.release):
        already.append(name)
    elif not fuse.writeable and not is_on:
        problems.append(f"{name} is {fuse.value:#x} and write-protected: encryption stays off")
    elif not fuse.writeable:
        already.append(f"{name} write-protected")
    elif wish.release:
        yield Burn(Stage.SWITCHES, Kind.FIELD, name, "flash encryption on, for good", every)
    else:
        lowest = ~fuse.value & (fuse.value + 1)
        why = "flash encryption on; it can be switched off and on again a few times"
        yield Burn(Stage.SWITCHES, Kind.FIELD, name, why, fuse.value | lowest)


def _notes(wish: SecurityWish) -> Iterator[str]:
    if wish.flash_encryption and not wish.digests:
        yield "without secure boot a changed program still starts, and reads what is encrypted"
    if wish.digests and not wish.flash_encryption:
        yield "without flash encryption whoever holds the unit reads its keys from the flash"
    if not wish.release:
        yield "development mode: whoever holds the unit can still read and change it"
    elif not wish.lock_loader:
        yield "the serial loader stays: flash can be read as ciphertext, and written"
    if wish.lock_loader:
        yield "with its loader locked nobody can read this unit back, evtool neither"
