# SPDX-License-Identifier: GPL-3.0-or-later
"""One run over boards of memory and a real ledger: bindings, verdicts, records, idempotence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fleet_rig import FleetRig, MemoryBoard, boot_line_of, mac_of, make_rig, order_of

from evtool.errors import CheckFailed, LinkTimeout, Stopped, TransferFault
from evtool.link.ledger_database import open_ledger
from evtool.link.secret_source import SecretSource
from evtool.protocol.board_flash import BoardFacts
from evtool.protocol.ledger_record import ClaimTaken
from evtool.provision.ledger.unit_state import state, state_of_mac
from evtool.provision.run.task import Proof
from evtool.provision.run.verdict import BoardRepeated, UnitRefused, UnitVerdict
from evtool.provision.secrets.fingerprint import key_fingerprint

WHOLE = ["claimed", "planned", "written", "read_back", "proved"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FleetRig]:
    ledger = open_ledger(tmp_path / "ledger.db", "line-1")
    yield make_rig(tmp_path / "project", ledger)
    ledger.close()


def test_each_board_becomes_the_next_row_and_is_proved(rig: FleetRig) -> None:
    boards = [MemoryBoard(number) for number in (9, 8, 7)]
    results = rig.run(*boards)
    assert [(each.unit, each.verdict, each.where) for each in results] == [
        ("CP-001", UnitVerdict.PROVISIONED, "fleet.csv:2"),
        ("CP-002", UnitVerdict.PROVISIONED, "fleet.csv:3"),
        ("CP-003", UnitVerdict.PROVISIONED, "fleet.csv:4"),
    ]
    assert [board.identity for board in boards] == ["CP-001", "CP-002", "CP-003"]
    assert rig.events("CP-001") == WHOLE
    found = state_of_mac(rig.ledger, mac_of(9))
    assert found is not None
    assert (found.unit, found.status) == ("CP-001", "proved")
    assert found.written is not None
    assert found.written.fields["build_id"] == "cafe"
    assert found.written.fields["serial_number"] == "SN-001"
    keys = {
        rig.secrets.generation(order.identity, "authorization_key", 1) for order in rig.orders[:3]
    }
    assert len(keys) == 3


def test_a_second_run_changes_nothing_and_says_so(rig: FleetRig) -> None:
    boards = [MemoryBoard(1), MemoryBoard(2)]
    rig.run(*boards)
    before = [bytes(board.flash) for board in boards]
    for board in boards:
        board.written = 0
    results = rig.run(*reversed(boards))
    assert [each.verdict for each in results] == [UnitVerdict.UNCHANGED] * 2
    assert [each.unit for each in results] == ["CP-002", "CP-001"]
    assert [board.written for board in boards] == [0, 0]
    assert [bytes(board.flash) for board in boards] == before
    assert rig.events("CP-001") == [*WHOLE, "unchanged"]
    found = state(rig.ledger, "CP-001")
    assert found is not None
    assert found.status == "proved"


def test_without_a_boot_proof_a_second_run_is_unchanged_as_well(rig: FleetRig) -> None:
    rig.proof = None
    board = MemoryBoard(1)
    for verdict in (UnitVerdict.PROVISIONED, *[UnitVerdict.UNCHANGED] * 3):
        assert rig.run(board)[0].verdict is verdict
    assert rig.events("CP-001") == [*WHOLE[:-1], *["unchanged"] * 3]
    assert "console" not in board.calls
    rig.proof = Proof(5_000)
    assert rig.run(board)[0].verdict is UnitVerdict.PROVISIONED  # the proof was missing
    assert rig.events("CP-001")[-1] == "proved"


def test_a_row_that_names_its_board_waits_for_it(rig: FleetRig) -> None:
    rig.orders[0] = order_of(rig.project, 1, mac=mac_of(5))
    other, bound = MemoryBoard(4), MemoryBoard(5)
    results = rig.run(other, bound)
    assert [each.unit for each in results] == ["CP-002", "CP-001"]


@pytest.mark.parametrize("how", ["ledger", "file", "both"])
def test_a_board_that_is_another_unit_is_refused(rig: FleetRig, how: str) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    before = bytes(board.flash)
    if how == "ledger":
        rig.orders = rig.orders[1:]
    elif how == "file":
        rig.orders[0] = order_of(rig.project, 1, mac=mac_of(2))
    else:
        rig.orders[1] = order_of(rig.project, 2, mac=mac_of(1))
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.REFUSED
    assert result.exit_code == 3
    assert "CP-001" in str(result.error)
    assert bytes(board.flash) == before
    assert board.calls[-2:] == ["restart", "close"]


def test_no_row_left_is_refused_and_recorded_without_a_unit(rig: FleetRig) -> None:
    rig.orders = rig.orders[:1]
    first, second = rig.run(MemoryBoard(1), MemoryBoard(2))
    assert first.verdict is UnitVerdict.PROVISIONED
    assert second.verdict is UnitVerdict.REFUSED
    assert "no row is left" in str(second.error)
    (record,) = rig.ledger.history(mac=mac_of(2))
    assert (record.event, record.unit, record.fields["cause"]) == ("failed", None, "device")


def test_a_flash_that_takes_nothing_frees_the_row_for_the_next_board(rig: FleetRig) -> None:
    worn, good = MemoryBoard(1), MemoryBoard(2)
    worn.dead = range(0x10000, 0x20000)
    failed, done = rig.run(worn, good)
    assert failed.verdict is UnitVerdict.FAILED
    assert failed.attempts == 3
    assert "app at 0x10000" in str(failed.error)
    assert (done.unit, done.verdict) == ("CP-001", UnitVerdict.PROVISIONED)
    assert "released" in [record.event for record in rig.ledger.history(mac=mac_of(1))]
    (key,) = [each for each in rig.ledger.claims_of("CP-001") if each.kind == "key"]
    assert key.mac == mac_of(2)  # the same one: it was never in the worn board
    assert rig.secrets.generation("CP-001", "authorization_key", 2) is None
    assert worn.identity is None


def test_an_identity_that_may_be_in_a_board_is_not_given_to_another(rig: FleetRig) -> None:
    worn, good = MemoryBoard(1), MemoryBoard(2)
    worn.dead = range(0x390000, 0x391000)
    failed, done = rig.run(worn, good)
    assert (failed.unit, failed.verdict) == ("CP-001", UnitVerdict.FAILED)
    assert done.unit == "CP-002"
    holder = rig.ledger.claim_holder("identity", "CP-001")
    assert holder is not None
    assert holder.mac == mac_of(1)
    worn.dead = range(0)
    (mended,) = rig.run(worn)
    assert (mended.unit, mended.verdict) == ("CP-001", UnitVerdict.PROVISIONED)


def test_a_board_that_holds_it_without_a_record_gets_the_record_and_no_write(
    rig: FleetRig,
) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    other = make_rig(rig.project.root, open_ledger(rig.project.root / "new.db", "line-2"))
    for name in rig.ledger.sealed_names():
        sealed = rig.ledger.get_sealed(name[0])
        assert sealed is not None
        with other.ledger.change() as change:
            change.put_sealed(sealed.name, sealed.key_id, sealed.data)
    board.written = 0
    (result,) = other.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED
    assert board.written == 0
    assert other.events("CP-001") == ["claimed", "written", "read_back", "proved"]
    other.ledger.close()


def test_an_identity_that_a_board_held_already_is_not_given_to_another(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    # A person frees it in the ledger, though the board still holds it.
    with rig.ledger.change() as change:
        change.release("CP-001", [("identity", "CP-001"), ("mac", board.mac)])
    board.says = lambda _identity: "silence\r\n"
    first, second = rig.run(board, MemoryBoard(2))
    assert (first.unit, first.verdict) == ("CP-001", UnitVerdict.FAILED)
    assert board.identity == "CP-001"
    assert second.unit == "CP-002"


def test_another_build_is_flashed_and_the_identity_stays(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    board.flash[0x10010] ^= 1
    board.written = 0
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED
    assert 0 < board.written == result.bytes_written <= 0x1000
    assert rig.events("CP-001")[len(WHOLE) :] == WHOLE[1:]


def test_identities_alone_go_into_the_partition_that_the_board_has(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.with_firmware = False
    (blank,) = rig.run(board)
    assert blank.verdict is UnitVerdict.FAILED
    assert "no partition table" in str(blank.error)
    rig.with_firmware = True
    rig.run(board)
    rig.with_firmware = False
    rig.orders[0] = order_of(rig.project, 1, wifi_ssid="other")
    board.written = 0
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED
    assert board.written == 0x1000


@pytest.mark.parametrize(
    ("says", "error", "words"),
    [
        (lambda _: boot_line_of("CP-999"), CheckFailed, "started as CP-999, not as CP-001"),
        (
            lambda identity: boot_line_of(identity).replace("cafe", "beef"),
            CheckFailed,
            "build beef, not cafe",
        ),
        (lambda _: "rst:0x1\r\n", LinkTimeout, "did not say"),
    ],
)
def test_the_board_must_say_this_identity_and_this_build(
    rig: FleetRig, says: object, error: type[Exception], words: str
) -> None:
    board = MemoryBoard(1)
    board.says = says  # type: ignore[assignment]  # a function of the identity
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.FAILED
    assert type(result.error) is error
    assert words in str(result.error)
    assert result.attempts == 1  # the board would say the same again
    assert rig.events("CP-001") == [*WHOLE[:-1], "failed"]
    found = state(rig.ledger, "CP-001")
    assert found is not None
    assert found.failed is not None
    assert found.failed.fields["step"] == "boot"
    board.says = boot_line_of
    board.written = 0
    (again,) = rig.run(board)
    assert (again.verdict, board.written) == (UnitVerdict.PROVISIONED, 0)


@pytest.mark.parametrize(
    ("words", "verdict", "message"),
    [
        ("[event] ocpp state=connected", UnitVerdict.PROVISIONED, ""),
        ("[event] csms state=refused http=401", UnitVerdict.FAILED, "csms state=refused http=401"),
        ("[event] wifi state=lost", UnitVerdict.FAILED, "wifi state=lost"),
        (
            "[event] identity field=sec_profile rule=0_to_2_(3_needs_a_client_key)",
            UnitVerdict.FAILED,
            "refuses its identity, and goes to no CSMS: sec_profile breaks its rule 0_to_2",
        ),
        ("nothing", UnitVerdict.FAILED, "did not say within 2 s that it reached its CSMS"),
    ],
)
def test_the_board_must_reach_its_csms_where_that_is_expected(
    rig: FleetRig, words: str, verdict: UnitVerdict, message: str
) -> None:
    rig.proof = Proof(5_000, csms_timeout_ms=2_000)
    board = MemoryBoard(1)
    board.says = lambda identity: boot_line_of(identity) + words + "\r\n"
    (result,) = rig.run(board)
    assert result.verdict is verdict
    assert message in str(result.error)
    assert result.csms is (True if verdict.good else None)


def test_what_the_board_says_of_its_secrets_is_masked(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    board.says = lambda _: "key is correct horse battery and correct%20horse%20battery\r\n"
    (result,) = rig.run(board)
    assert "key is ****" in str(result.error)
    assert "horse" not in str(result.error)


def test_lost_bytes_are_tried_again_and_a_silent_board_once_more(rig: FleetRig) -> None:
    lost = TransferFault("lost", fix="cable")
    board = MemoryBoard(1, faults={"write": [None, lost], "read": [lost]})
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED
    assert result.attempts == 3
    assert rig.events("CP-001") == WHOLE
    silent = MemoryBoard(2, faults={"connect": [LinkTimeout("silent")] * 3})
    (result,) = rig.run(silent)
    assert (result.verdict, result.attempts) == (UnitVerdict.FAILED, 2)


def test_a_stop_leaves_the_claim_for_the_next_run(rig: FleetRig) -> None:
    board = MemoryBoard(1, faults={"write": [None, Stopped("stopped")]})
    (result,) = rig.run(board)
    assert (result.verdict, result.exit_code) == (UnitVerdict.STOPPED, 130)
    assert rig.events("CP-001") == ["claimed", "planned"]
    (result,) = rig.run(board)
    assert (result.unit, result.verdict) == ("CP-001", UnitVerdict.PROVISIONED)


def test_a_board_that_was_exchanged_between_two_tries_is_refused(rig: FleetRig) -> None:
    board = MemoryBoard(1, faults={"write": [TransferFault("lost")]})
    facts = board.facts

    def connect(baudrate: int) -> BoardFacts:
        return facts if "close" not in board.calls else MemoryBoard(2).facts

    board.connect = connect  # type: ignore[method-assign]  # another one at the second try
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.REFUSED
    assert "was changed in between" in str(result.error)


def test_a_key_of_another_unit_is_refused_before_anything_is_written(rig: FleetRig) -> None:
    first, second = MemoryBoard(1), MemoryBoard(2)
    ref = rig.project.csms.authorization_key
    rig.orders = [
        order_of(rig.project, 1, authorization_key=ref),
        order_of(rig.project, 2, authorization_key=ref),
    ]
    done, refused = rig.run(first, second)
    assert done.verdict is UnitVerdict.PROVISIONED
    assert refused.verdict is UnitVerdict.REFUSED
    assert isinstance(refused.error, ClaimTaken)
    assert second.written == 0
    assert rig.ledger.claim_holder("identity", "CP-002") is None
    rig.orders[1] = replace(
        rig.orders[1], shared=frozenset({"authorization_key", "wifi_passphrase"})
    )
    assert rig.run(second)[0].verdict is UnitVerdict.PROVISIONED


def test_a_row_whose_serial_number_is_taken_is_named_and_the_next_one_used(rig: FleetRig) -> None:
    with rig.ledger.change() as change:
        change.claim("CP-OLD", [("serial", "sn-001")])
        change.claim("cp-003", [("identity", "cp-003")])
    task = rig.task()
    first, second = rig.run(MemoryBoard(1), MemoryBoard(2), task=task)
    assert [each.unit for each in (first, second)] == ["CP-002", "CP-004"]
    assert first.verdict is second.verdict is UnitVerdict.PROVISIONED
    told = [fields for name, fields in rig.told if name == "row_left_out"]
    assert [(each["unit"], each["where"]) for each in told] == [
        ("CP-001", "fleet.csv:2"), ("CP-003", "fleet.csv:4"),
    ]  # fmt: skip
    assert "serial sn-001 belongs to CP-OLD" in str(told[0]["reason"])
    assert "identity cp-003 belongs to cp-003" in str(told[1]["reason"])
    assert rig.ledger.claims_of("CP-001") == []
    _, refused = rig.run(MemoryBoard(3), MemoryBoard(4), task=task)
    assert refused.verdict is UnitVerdict.REFUSED
    said = str(refused.error)
    assert "each has its board already or is wrong" in said
    assert "fleet.csv:2: CP-001 is left out: serial sn-001 belongs to CP-OLD" in said
    assert "fleet.csv:4: CP-003" in said
    # What was in its way is gone: the next run uses it.
    with rig.ledger.change() as change:
        change.release("CP-OLD", [("serial", "sn-001")])
    assert rig.run(MemoryBoard(4))[0].unit == "CP-001"


def test_a_row_whose_key_is_taken_stops_one_board_and_not_the_line(rig: FleetRig) -> None:
    ref = rig.project.csms.authorization_key
    rig.orders[0] = replace(rig.orders[0], authorization_key=ref)
    key = SecretSource(rig.project.root).resolve(ref, "key").reveal()
    with rig.ledger.change() as change:
        change.claim("CP-OLD", [("key", key_fingerprint(key))])
    refused, done = rig.run(MemoryBoard(1), MemoryBoard(2))
    assert (refused.unit, refused.verdict) == ("CP-001", UnitVerdict.REFUSED)
    assert (done.unit, done.verdict) == ("CP-002", UnitVerdict.PROVISIONED)
    assert [each.kind for each in rig.ledger.claims_of("CP-001")] == []


def test_gates_and_repeated_boards_touch_no_ledger(rig: FleetRig) -> None:
    for error, verdict, code in (
        (UnitRefused("another chip"), UnitVerdict.REFUSED, 3),
        (BoardRepeated("done already"), UnitVerdict.REPEATED, 0),
    ):

        def refuse(_facts: object, error: Exception = error) -> None:
            raise error

        (result,) = rig.run(MemoryBoard(1), task=replace(rig.task(), gates=refuse))
        assert (result.verdict, result.exit_code) == (verdict, code)
        assert rig.ledger.claim_holder("mac", mac_of(1)) is None


def test_a_row_that_asks_for_encrypted_flash_gets_no_other(rig: FleetRig) -> None:
    rig.orders[0] = order_of(rig.project, 1, flash_encryption=True)
    board = MemoryBoard(1)
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.REFUSED
    assert "encrypted flash" in str(result.error)
    assert board.written == 0
    assert rig.ledger.claim_holder("identity", "CP-001") is None
