# SPDX-License-Identifier: GPL-3.0-or-later
"""One board's work, against boards that fail as and when they are told to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_flash import MemoryFlash

from evtool.errors import (
    DeviceError,
    EvtoolError,
    LinkTimeout,
    Stopped,
    ToolError,
    TransferFault,
    WrongBoard,
)
from evtool.flash.station.attempts import ProofFailed, first_attempt, next_attempt
from evtool.flash.station.board_run import Task, run_board
from evtool.flash.station.boot import BootConsole, BootProof, NotBooted
from evtool.flash.station.gates import BoardRefused, Gates
from evtool.flash.station.order import Order
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import BoardResult, Verdict, worst_exit_code
from evtool.protocol.board_flash import (
    FLASH_ENCRYPTION,
    SECURE_DOWNLOAD,
    BoardFacts,
    ChipInfo,
    FlashPart,
)

MAC = "24:0a:c4:00:00:01"
FACTS = BoardFacts(ChipInfo("esp32", "ESP32-D0WD-V3 (revision v3.0)", MAC), 300, 4 << 20)
PARTS = (
    FlashPart("app", 0x10000, bytes(range(256)) * 400),
    FlashPart("evcfg", 0x40000, b"\x11" * 0x3000, secret=True),
)
ORDER = Order("esp32", 0x80000, PARTS, "cafe", "test")
BOOTS = b"rst:0x1\r\n[event] boot version=1 build=cafe charge_point=-\r\n"


class FakeBoard(MemoryFlash):
    """A `flash.station.board_run.Board`."""

    def __init__(
        self,
        facts: BoardFacts = FACTS,
        faults: Mapping[str, Sequence[EvtoolError | None]] | None = None,
        says: bytes = BOOTS,
    ) -> None:
        super().__init__(bytearray(b"\xff" * 0x80000), faults)
        self.facts = facts
        self.says = says
        self.speeds: list[int] = []

    def connect(self, baudrate: int) -> BoardFacts:
        self.speeds.append(baudrate)
        self._call("connect")
        return self.facts

    @contextmanager
    def console(self) -> Iterator[BootConsole]:
        self._call("console")
        yield self

    def read(self, timeout_s: float) -> bytes:
        self.now_ms += round(timeout_s * 1000)
        said, self.says = self.says[:20], self.says[20:]
        return said


def run(board: FakeBoard, task: Task | None = None) -> tuple[BoardResult, list[str]]:
    told: list[str] = []
    result = run_board(
        "port",
        lambda _attempt: board,
        task or Task(ORDER, baudrate=921_600),
        lambda: board.now_ms,
        lambda name, _fields: told.append(name),
    )
    return result, told


def test_a_blank_board_is_written_proved_and_restarted() -> None:
    board = FakeBoard()
    result, told = run(board)
    assert result.verdict is Verdict.FLASHED
    assert result.bytes_written == ORDER.total_bytes
    assert set(result.times_ms) == {"connect", "compare", "write", "prove"}
    assert all(board.flash[part.offset : part.end] == part.data for part in PARTS)
    assert board.calls[-2:] == ["restart", "close"]
    assert told[:3] == ["attempt", "phase", "connected"]
    assert run(board)[0].verdict is Verdict.UNCHANGED


_LOST = TransferFault("bytes were lost")
_SILENT = LinkTimeout("nobody answers")


@pytest.mark.parametrize(
    ("faults", "speeds", "verdict"),
    [
        ({"write": [None, _LOST]}, [921_600, 921_600], Verdict.FLASHED),
        ({"write": [_LOST], "holds": [None, None, _LOST]}, [921_600, 921_600, 115_200],
         Verdict.FLASHED),
        ({"connect": [_LOST] * 3}, [921_600, 921_600, 115_200], Verdict.FAILED),
        ({"connect": [_SILENT] * 3}, [921_600, 921_600], Verdict.FAILED),
        ({"connect": [_SILENT]}, [921_600, 921_600], Verdict.FLASHED),
        ({"connect": [DeviceError("no such port")] * 2}, [921_600], Verdict.FAILED),
        ({"write": [ToolError("unheard of")]}, [921_600], Verdict.FAILED),
        ({"write": [Stopped("Ctrl-C")]}, [921_600], Verdict.STOPPED),
    ],
)  # fmt: skip
def test_what_failed_is_tried_again_then_slower_where_that_can_help(
    faults: dict[str, list[EvtoolError | None]], speeds: list[int], verdict: Verdict
) -> None:
    board = FakeBoard(faults=faults)
    result, told = run(board)
    assert board.speeds == speeds
    assert result.verdict is verdict
    assert board.calls.count("close") == len(speeds) == told.count("attempt")
    assert (result.error is None) == verdict.good
    assert result.attempts == len(speeds)


def test_a_slow_run_is_not_made_faster() -> None:
    attempt = next_attempt(first_attempt(57_600), _LOST)
    assert attempt is not None
    attempt = next_attempt(attempt, _LOST)
    assert attempt is not None
    assert (attempt.number, attempt.baudrate) == (3, 57_600)
    assert next_attempt(attempt, _LOST) is None


def test_a_sector_that_takes_nothing_is_named() -> None:
    board = FakeBoard()
    board.dead = range(0x12000, 0x13000)
    result, _ = run(board)
    assert result.verdict is Verdict.FAILED
    assert isinstance(result.error, ProofFailed)
    assert "app at 0x12000" in result.error.message
    assert result.exit_code == 1
    assert len(result.failed) == 3


@pytest.mark.parametrize(
    ("facts", "gates", "words"),
    [
        (BoardFacts(ChipInfo("esp32s3", "", MAC), 0, 8 << 20), Gates(), "the chip is esp32s3"),
        (BoardFacts(FACTS.chip, 300, 0x40000), Gates(), "its flash has 0x40000 bytes"),
        (BoardFacts(FACTS.chip, 300, None), Gates(flash_size=4 << 20), "a size that it does not"),
        (BoardFacts(FACTS.chip, 300, 4 << 20, (FLASH_ENCRYPTION,)), Gates(), "flash encryption is"),
        (BoardFacts(FACTS.chip, None, None, (SECURE_DOWNLOAD,)), Gates(allow_secured=True),
         "cannot be proved"),
        (BoardFacts(FACTS.chip, 99, 4 << 20), Gates(min_revision=100), "v0.99, below v1.0"),
        (BoardFacts(FACTS.chip, 301, 4 << 20), Gates(max_revision=300), "v3.1, above v3.0"),
        (BoardFacts(FACTS.chip, None, 4 << 20), Gates(max_revision=300), "does not say its rev"),
    ],
)  # fmt: skip
def test_a_board_that_is_refused_is_restarted_untouched(
    facts: BoardFacts, gates: Gates, words: str
) -> None:
    board = FakeBoard(facts)
    result, _ = run(board, Task(ORDER, gates))
    assert result.verdict is Verdict.REFUSED
    assert isinstance(result.error, BoardRefused)
    assert words in result.error.message
    assert board.calls == ["connect", "restart", "close"]


def test_a_secured_board_is_admitted_where_the_images_are_made_for_it() -> None:
    board = FakeBoard(BoardFacts(FACTS.chip, 300, 4 << 20, (FLASH_ENCRYPTION,)))
    assert run(board, Task(ORDER, Gates(allow_secured=True)))[0].verdict is Verdict.FLASHED


def test_identify_writes_nothing() -> None:
    board = FakeBoard()
    result, _ = run(board, Task(ORDER, only_identify=True, boot=BootProof("cafe", 1000)))
    assert result.verdict is Verdict.IDENTIFIED
    assert board.calls == ["connect", "restart", "close"]


@pytest.mark.parametrize(
    ("says", "verdict", "words"),
    [
        (BOOTS, Verdict.FLASHED, ""),
        (b"[event] boot version=1 build=0ld charge_point=-\r\n", Verdict.FAILED,
         "the board started build 0ld, not cafe"),
        (b"Brownout detector was triggered\r\n", Verdict.FAILED, "| Brownout detector"),
        (b"", Verdict.FAILED, "it said nothing"),
    ],
)  # fmt: skip
def test_the_boot_proof_waits_for_this_build(says: bytes, verdict: Verdict, words: str) -> None:
    board = FakeBoard(says=says)
    result, _ = run(board, Task(ORDER, boot=BootProof("cafe", 2000)))
    assert result.verdict is verdict
    assert len(result.failed) == (0 if verdict.good else 1)  # nothing is written a second time
    if verdict.good:
        assert result.boot == {"version": "1", "build": "cafe", "charge_point": "-"}
    else:
        assert isinstance(result.error, NotBooted)
        assert words in result.error.message


@given(st.lists(st.sampled_from([None, _LOST]), max_size=2), st.binary(max_size=64), st.data())
def test_whatever_was_there_and_is_lost_on_the_way_a_good_verdict_is_true(
    losses: list[EvtoolError | None], old: bytes, data: st.DataObject
) -> None:
    board = FakeBoard(faults={"write": losses, "holds": data.draw(st.permutations(losses))})
    for part in PARTS:
        board.flash[part.offset : part.offset + len(old)] = old
    result, _ = run(board)
    there = all(board.flash[part.offset : part.end] == part.data for part in PARTS)
    assert result.verdict.good <= there


def test_a_unit_is_worked_on_once_and_again_after_it_failed() -> None:
    units = Units(["aa:00"])
    with pytest.raises(EvtoolError, match="an earlier run"):
        units.claim("aa:00", "p1")
    units.claim(MAC, "p1")
    units.claim(MAC, "p1")
    # Another board with that MAC, or the same at a second port: it is not done, whatever it is.
    with pytest.raises(WrongBoard, match=f"p1 has a board with the same MAC {MAC}"):
        units.claim(MAC, "p2")
    units.release(MAC, "p1")
    units.claim(MAC, "p2")
    units.finish(MAC, "p2")
    with pytest.raises(EvtoolError, match="done already"):
        units.claim(MAC, "p2")
    units.claim("", "p3")  # nobody knows who it is
    units.claim("", "p4")


def test_a_unit_that_is_done_is_restarted_and_no_failure() -> None:
    board = FakeBoard()
    units = Units([MAC])
    task = Task(ORDER, admit=lambda facts: units.claim(facts.chip.mac, "port"))
    result, _ = run(board, task)
    assert (result.verdict, result.exit_code) == (Verdict.REPEATED, 0)
    assert (result.attempts, result.failed) == (1, ())
    assert board.calls == ["connect", "restart", "close"]


def test_the_exit_code_is_that_of_the_worst() -> None:
    good = BoardResult("a", Verdict.FLASHED)
    bad = BoardResult("b", Verdict.FAILED, error=ProofFailed("x"))
    gone = BoardResult("c", Verdict.FAILED, error=DeviceError("x"))
    assert worst_exit_code([]) == worst_exit_code([good]) == 0
    assert worst_exit_code([good, bad]) == 1
    assert worst_exit_code([gone, bad, good]) == 3
