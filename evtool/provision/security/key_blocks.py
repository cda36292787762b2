# SPDX-License-Identifier: GPL-3.0-or-later
"""Which blocks of fuses take the keys, and what stands in them already.

A flash encryption key that is read-protected cannot be compared: it is taken for the one that is
kept for this chip, for one is kept before anything is burned, and never another.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from evtool.errors import DeviceError
from evtool.protocol.chip_fuses import Fuse, FuseState
from evtool.provision.security.burn import Burn, Kind, SecurityWish, Stage

_WHY_KEY = "the unit's own key for its flash"
_WHY_DIGEST = "secure boot trusts the key with this hash"
_ESP32_KEY, _ESP32_DIGEST = "BLOCK1", "BLOCK2"
_BLOCKS = tuple(f"BLOCK_KEY{number}" for number in range(6))
# The last block cannot take a key for the flash: a fault of these chips.
_KEY_BLOCKS = _BLOCKS[:5]
_XTS_256 = (2, 3)
_XTS_128, _XTS_NAME = 4, "XTS_AES_128_KEY"
_FIRST_DIGEST, _DIGESTS = 9, 3
_SIZE = 32


class SecurityRefused(DeviceError):
    """This chip cannot be secured as it was asked for; nothing was burned.

    Attributes:
        problems: every reason.
    """

    def __init__(self, mac: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"{mac} cannot be secured so:\n" + "\n".join(f"  {each}" for each in problems),
            fix="what is burned cannot be undone: use another board, or ask for what this one has",
        )
        self.problems = tuple(problems)


def encryption_key_burns(
    state: FuseState, key: bytes | None, kept: bool, problems: list[str], already: list[str]
) -> list[Burn]:
    """The burn of the flash encryption key, or none; adds to `problems` and `already`."""
    if state.chip == "esp32":
        return _key_burn(state, _ESP32_KEY, None, key, kept, problems, already)
    purposes = {name: state.value(_purpose(name)) for name in _BLOCKS}
    if any(purpose in _XTS_256 for purpose in purposes.values()):
        problems.append("it has a key for XTS-AES-256, and evtool gives one for XTS-AES-128")
        return []
    taken = [name for name, purpose in purposes.items() if purpose == _XTS_128]
    half_done = [name for name in _KEY_BLOCKS if key is not None and _holds(state[name], key[::-1])]
    free = [name for name in _KEY_BLOCKS if _is_free(state, name)]
    for found in (taken, half_done, free):
        if found:
            return _key_burn(state, found[0], _XTS_NAME, key, kept, problems, already)
    problems.append("none of its key blocks is free for a flash encryption key")
    return []


def _key_burn(
    state: FuseState,
    block: str,
    purpose: str | None,
    key: bytes | None,
    kept: bool,
    problems: list[str],
    already: list[str],
) -> list[Burn]:
    fuse = state[block]
    burn = Burn(Stage.KEYS, Kind.KEY, block, _WHY_KEY, purpose=purpose, data=key or b"")
    if not fuse.readable:
        if not kept:
            problems.append(f"{block} holds a key already, and none is kept for this chip")
        elif fuse.writeable:
            why = "the key can be destroyed no more"
            return [Burn(Stage.KEYS, Kind.WRITE_PROTECT, block, why)]
        else:
            already.append(block)
        return []
    if any(fuse.data) and (key is None or not _holds(fuse, key[::-1])):
        problems.append(f"{block} holds something else than the key that is kept for this chip")
        return []
    if not any(fuse.data) and not fuse.writeable:
        problems.append(f"{block} is blank and write-protected")
        return []
    if not state["RD_DIS"].writeable:
        problems.append("RD_DIS is write-protected: a key could not be hidden any more")
        return []
    # A key that the power left readable is burned once more, which only protects it.
    return [burn]


def digest_burns(
    state: FuseState,
    wish: SecurityWish,
    taken: Container[str],
    problems: list[str],
    already: list[str],
) -> list[Burn]:
    """The burns for secure boot's keys; adds to `problems` and `already`.

    Args:
        taken: blocks that something else will be burned into.
    """
    digests = wish.digests
    if not digests:
        return []
    if state.chip == "esp32":
        return _esp32_digest(state, digests, problems, already)
    burns: list[Burn] = []
    purposes = {name: state.value(_purpose(name)) for name in _BLOCKS}
    slots = {
        purpose - _FIRST_DIGEST: name
        for name, purpose in purposes.items()
        if 0 <= purpose - _FIRST_DIGEST < _DIGESTS
    }
    foreign = [number for number, name in slots.items() if state[name].data not in digests]
    problems += [f"it trusts another key in slot {number}" for number in foreign]
    # The first free ones are left to the flash's key, which cannot stand in the last.
    free = [name for name in reversed(_BLOCKS) if name not in taken and _is_free(state, name)]
    for digest in digests:
        slot = next((each for each, name in slots.items() if state[name].data == digest), None)
        if slot is None:
            slot = next((each for each in range(_DIGESTS) if _slot_is_free(state, each, slots)), -1)
            half_done = [
                name for name in _BLOCKS if not purposes[name] and _holds(state[name], digest)
            ]
            block = half_done[0] if half_done else free.pop(0) if free else ""
            if slot < 0 or not block:
                problems.append("it has no room for another key of secure boot")
                continue
            slots[slot] = block
        elif state.value(f"SECURE_BOOT_KEY_REVOKE{slot}"):
            problems.append(f"the key {digest.hex()[:16]}... is revoked in it")
            continue
        elif not state[slots[slot]].writeable:
            already.append(f"SECURE_BOOT_DIGEST{slot}")
            continue
        name = f"SECURE_BOOT_DIGEST{slot}"
        burns.append(
            Burn(Stage.KEYS, Kind.DIGEST, slots[slot], _WHY_DIGEST, purpose=name, data=digest)
        )
    if wish.release:
        burns += _revocations(state, slots, already)
    return burns


def _slot_is_free(state: FuseState, number: int, used: Container[int]) -> bool:
    return number not in used and not state.value(f"SECURE_BOOT_KEY_REVOKE{number}")


def _revocations(state: FuseState, used: Container[int], already: list[str]) -> list[Burn]:
    """Slots without a key take none later."""
    burns = []
    for number in range(_DIGESTS):
        name = f"SECURE_BOOT_KEY_REVOKE{number}"
        if number in used:
            continue
        if state.value(name):
            already.append(name)
        else:
            why = "the slot has no key, and takes none"
            burns.append(Burn(Stage.LOCKS, Kind.FIELD, name, why, 1))
    return burns


def _esp32_digest(
    state: FuseState, digests: Sequence[bytes], problems: list[str], already: list[str]
) -> list[Burn]:
    fuse = state[_ESP32_DIGEST]
    if len(digests) > 1:
        problems.append("an ESP32 trusts one key, not several")
    elif not fuse.readable:
        problems.append(f"{_ESP32_DIGEST} cannot be read, which secure boot must")
    elif any(fuse.data) and fuse.data != digests[0]:
        problems.append("it trusts another key")
    elif any(fuse.data) and not fuse.writeable:
        already.append(_ESP32_DIGEST)
    elif not fuse.writeable:
        problems.append(f"{_ESP32_DIGEST} is blank and write-protected")
    else:
        return [Burn(Stage.KEYS, Kind.DIGEST, _ESP32_DIGEST, _WHY_DIGEST, data=digests[0])]
    return []


def _purpose(block: str) -> str:
    return f"KEY_PURPOSE_{block.removeprefix('BLOCK_KEY')}"


def _holds(fuse: Fuse, data: bytes) -> bool:
    return fuse.readable and fuse.data == data


def _is_free(state: FuseState, block: str) -> bool:
    fuse = state[block]
    purpose = state[_purpose(block)]
    blank = fuse.readable and not any(fuse.data)
    return blank and fuse.writeable and purpose.value == 0 and purpose.writeable
