# SPDX-License-Identifier: GPL-3.0-or-later
"""Security plans burned by espefuse itself, into its own emulated fuses."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import pytest
from fuse_file import FuseFile
from fuse_model import ModelFuses, blank

from evtool.errors import DeviceError
from evtool.link.chip_fuses import ChipFuses
from evtool.protocol.board_flash import FLASH_ENCRYPTION, SECURE_BOOT
from evtool.protocol.chip_fuses import secured
from evtool.provision.security.burn import Kind, SecurityWish, Stage
from evtool.provision.security.plan import CHIPS, plan_security
from evtool.provision.security.secure_unit import burn_one

# The emulation leaves its file open.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.usefixtures("libyaml"),
]
KEY, DIGEST = bytes(range(32)), bytes(range(100, 132))
RELEASE = SecurityWish(flash_encryption=True, digests=(DIGEST,), release=True, lock_loader=True)
DEVELOPMENT = SecurityWish(flash_encryption=True, digests=(DIGEST,))
chips = pytest.mark.parametrize("chip", CHIPS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@chips
@pytest.mark.parametrize("wish", [RELEASE, DEVELOPMENT], ids=["release", "development"])
def test_espefuse_burns_what_was_planned_and_nothing_is_left(
    tmp_path: Path, chip: str, wish: SecurityWish
) -> None:
    said: list[str] = []
    fuses = FuseFile(chip, tmp_path / "fuses.bin", said.append)
    model = ModelFuses(blank(chip))
    # Planned anew before each burn, as by a run that is killed after every one.
    while True:
        state = fuses(lambda chip_fuses: chip_fuses.read())
        planned = plan_security(state, wish, revision=300, key=KEY, kept=True)
        modelled = plan_security(model.read(), wish, revision=300, key=KEY, kept=True)
        assert planned.burns == modelled.burns
        if not planned.burns:
            break
        burn = planned.burns[0]
        fuses(partial(burn_one, burn=burn))
        burn_one(model, burn)
    assert secured(state)[:2] == (FLASH_ENCRYPTION, SECURE_BOOT)
    [key] = [b for b in plan_security(blank(chip), wish, revision=300, key=KEY, kept=True).burns
             if b.kind is Kind.KEY]  # fmt: skip
    assert not state[key.fuse].readable
    assert not any(state[key.fuse].data)
    spoken = "\n".join(said)
    assert said
    for form in (KEY.hex(), KEY[::-1].hex(), KEY.hex(" "), KEY[::-1].hex(" ")):
        assert form not in spoken


@chips
def test_a_key_that_power_left_unprotected_is_only_protected(tmp_path: Path, chip: str) -> None:
    fuses = FuseFile(chip, tmp_path / "fuses.bin", lambda _line: None)
    block = "BLOCK1" if chip == "esp32" else "BLOCK_KEY0"

    def burn_bare(chip_fuses: ChipFuses) -> None:
        data = io.BytesIO(KEY[::-1])
        chip_fuses._commands().burn_block_data([block], [data])

    fuses(burn_bare)
    state = fuses(lambda chip_fuses: chip_fuses.read())
    wish = SecurityWish(flash_encryption=True)
    planned = plan_security(state, wish, revision=300, key=KEY, kept=True).of(Stage.KEYS)
    assert (planned[0].kind, planned[0].fuse) == (Kind.KEY, block)
    fuses(partial(burn_one, burn=planned[0]))
    state = fuses(lambda chip_fuses: chip_fuses.read())
    assert not state[block].readable
    left = plan_security(state, wish, revision=300, key=KEY, kept=True).of(Stage.KEYS)
    assert block not in [burn.fuse for burn in left]


def test_what_espefuse_refuses_is_said(tmp_path: Path) -> None:
    fuses = FuseFile("esp32c3", tmp_path / "fuses.bin", lambda _line: None)
    fuses(lambda chip_fuses: chip_fuses.burn_key("BLOCK_KEY0", KEY, "XTS_AES_128_KEY"))
    with pytest.raises(DeviceError, match="BLOCK_KEY0"):
        fuses(lambda chip_fuses: chip_fuses.burn_key("BLOCK_KEY0", KEY[::-1], "XTS_AES_128_KEY"))
