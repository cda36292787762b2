# SPDX-License-Identifier: GPL-3.0-or-later
"""Racks of virtual boards with every fault among them, flashed by the station's own threads."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import serial
from board_rack import ESP32_S2_MAGIC, BoardRack, Faults

from evtool.cli.flash_worker import Logs, Worker, crashed
from evtool.errors import DeviceError, LinkTimeout
from evtool.flash.station.attempts import ProofFailed
from evtool.flash.station.board_run import Task
from evtool.flash.station.gates import Gates
from evtool.flash.station.order import Order
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import BoardResult, Verdict
from evtool.link.deflated import Streams
from evtool.link.esptool_board import EsptoolBoard
from evtool.link.rack import Rack
from evtool.protocol.board_flash import FLASH_ENCRYPTION, SECURE_BOOT, FlashPart
from evtool.virtual.chips import ESP32

_RANDOM = random.Random(1)  # noqa: S311 - bytes that do not compress
PARTS = (
    FlashPart("bootloader", 0x1000, _RANDOM.randbytes(0x5000)),
    FlashPart("otadata", 0xE000, b"\xff" * 0x2000),
    FlashPart("app", 0x10000, _RANDOM.randbytes(0x30000) + bytes(0x10000)),
    FlashPart("evcfg", 0x390000, _RANDOM.randbytes(0x900) + b"\xff" * 0x5700, secret=True),
)
ORDER = Order("esp32", 4 << 20, PARTS, "cafe", "test")
TASK = Task(ORDER, baudrate=921_600)


@pytest.fixture
def rack() -> Iterator[BoardRack]:
    with BoardRack() as boards:
        yield boards


def flash(ports: list[str], task: Task = TASK, *, isolate: bool = False) -> dict[str, BoardResult]:
    """Run the task at all ports at once, to the end of all of them."""
    worker = Worker(task, Units(), Logs(None), isolate=isolate)
    running: Rack[BoardResult] = Rack(worker)
    for port in ports:
        running.start(port, worker.deadline_s)
    results = {}
    while running.running:
        word = running.next(0.1)
        if word is not None and not word.name:
            assert word.crash == "", word.crash
            results[word.port] = word.result or crashed(word.port, "", stopping=False)
    return results


@pytest.mark.slow  # a mute board is asked for as long as esptool asks
def test_a_rack_with_every_fault_in_it_gets_each_verdict_right(rack: BoardRack) -> None:
    alone = rack.add()
    work_alone = flash([alone.port])[alone.port]

    good = [rack.add() for _ in range(3)]
    mute = rack.add(Faults(mute_after=0))
    falls_silent = rack.add(Faults(mute_after=60_000))
    loses = rack.add(Faults(lose=frozenset({40_000})))
    flips = rack.add(Faults(flip=frozenset({45_000})))
    noisy = rack.add(Faults(noisy_above=115_200))
    worn = rack.add(Faults(dead_sector=0x13000))
    unplugged = rack.add(Faults(unplug_after=50_000))
    other_chip = rack.add(Faults(magic=ESP32_S2_MAGIC))
    late = rack.add(Faults(late=(0.2, 30)))
    slow_bridge = rack.add(Faults(latency_ms=12))
    loses_power = rack.add(Faults(cut_after=70_000))
    encrypted = rack.add(Faults(burned=ESP32.security.flash_encryption))
    signed = rack.add(Faults(burned=ESP32.security.secure_boot))
    busy = rack.add()
    with serial.Serial(busy.port, exclusive=True):
        results = flash([*rack.ports[1:], "/dev/ttyNO_SUCH_PORT"])

    for board in good:
        result = results[board.port]
        assert result.verdict is Verdict.FLASHED
        # No slower than alone: the same work, and none of it twice.
        assert (result.attempts, result.writes, result.questions, result.bytes_written) == (
            1, work_alone.writes, work_alone.questions, work_alone.bytes_written,
        )  # fmt: skip
        assert all(board.holds(part.offset, part.data) for part in PARTS)
    # Where in a frame the byte was decides whether esptool's own second try of a block helps.
    for board, tries in (
        (loses, {1, 2}),
        (flips, {1, 2}),
        (noisy, {3}),
        (late, {1}),
        (slow_bridge, {1}),
    ):
        assert results[board.port].verdict is Verdict.FLASHED, results[board.port]
        assert results[board.port].attempts in tries
        assert all(board.holds(part.offset, part.data) for part in PARTS)
    assert [each.baudrate for each in results[noisy.port].failed] == [921_600, 921_600]

    for board, kind, words in (
        (mute, LinkTimeout, "no ESP32 answered"),
        (falls_silent, LinkTimeout, "no ESP32 answered"),
        (loses_power, LinkTimeout, "no ESP32 answered"),
        (worn, ProofFailed, "app at 0x13000"),
        (unplugged, DeviceError, "no serial port"),
        (busy, DeviceError, "is in use"),
    ):
        result = results[board.port]
        assert result.verdict is Verdict.FAILED, board.faults
        assert type(result.error) is kind, (board.faults, result.error)
        assert words in str(result.error)
    for board, words in ((encrypted, FLASH_ENCRYPTION), (signed, SECURE_BOOT)):
        assert results[board.port].verdict is Verdict.REFUSED, results[board.port]
        assert f"{words} is switched on" in str(results[board.port].error)
        assert board.flash == bytearray(b"\xff" * len(board.flash))
    assert results[other_chip.port].verdict is Verdict.REFUSED
    assert "the chip is ESP32-S2, the firmware is for ESP32" in str(results[other_chip.port].error)
    assert results[worn.port].exit_code == 1
    assert results["/dev/ttyNO_SUCH_PORT"].exit_code == 3
    assert other_chip.flash == busy.flash == bytearray(b"\xff" * len(busy.flash))


def test_a_second_run_writes_nothing_and_a_change_writes_its_sectors(rack: BoardRack) -> None:
    board = rack.add()
    assert flash([board.port])[board.port].verdict is Verdict.FLASHED
    again = flash([board.port])[board.port]
    assert (again.verdict, again.writes, again.bytes_written) == (Verdict.UNCHANGED, 0, 0)

    board.flash[0x390010] ^= 1
    board.flash[0x2A000] ^= 1
    mended = flash([board.port])[board.port]
    assert mended.verdict is Verdict.FLASHED
    assert mended.writes == 2
    assert mended.bytes_written == 0x2000
    assert all(board.holds(part.offset, part.data) for part in PARTS)


def test_a_known_image_is_not_asked_for_and_a_wrong_word_is_found_out(rack: BoardRack) -> None:
    board = rack.add()
    flash([board.port])
    new = bytearray(PARTS[2].data)
    new[0x20010] ^= 1
    parts = (*PARTS[:2], FlashPart("app", 0x10000, bytes(new)), PARTS[3])
    order = Order("esp32", 4 << 20, parts, "", "test")
    result = flash([board.port], Task(order, known=PARTS))[board.port]
    assert (result.verdict, result.bytes_written) == (Verdict.FLASHED, 0x1000)
    assert result.questions == len(parts)

    board.flash[0x11000:0x12000] = bytes(0x1000)
    result = flash([board.port], Task(order, known=parts))[board.port]
    assert (result.verdict, result.bytes_written) == (Verdict.FLASHED, 0x1000)
    assert board.holds(0x10000, bytes(new))


def test_gates_are_closed_before_anything_is_written(rack: BoardRack) -> None:
    board = rack.add()
    for gates, words in (
        (Gates(min_revision=301), "its revision is v3.0, below v3.1"),
        (Gates(flash_size=8 << 20), "its flash has 4 MB, not 8 MB"),
        (Gates(macs=frozenset({"24:0a:c4:00:00:99"})), "the MAC 24:0a:c4:00:00:01 is not on"),
    ):
        result = flash([board.port], Task(ORDER, gates))[board.port]
        assert result.verdict is Verdict.REFUSED
        assert words in str(result.error)
        assert result.exit_code == 3
    assert board.flash == bytearray(b"\xff" * len(board.flash))


def test_the_same_unit_at_two_ports_is_flashed_once(rack: BoardRack) -> None:
    first, second = rack.add(), rack.add()
    units = Units()
    worker = Worker(TASK, units, Logs(None), isolate=False)
    done = worker(first.port, lambda *_: None, lambda: False)
    units.finish(second.mac.hex(":"), first.port)
    repeated = worker(second.port, lambda *_: None, lambda: False)
    assert (done.verdict, repeated.verdict) == (Verdict.FLASHED, Verdict.REPEATED)
    assert repeated.exit_code == 0
    assert second.flash == bytearray(b"\xff" * len(second.flash))


def test_two_boards_with_one_mac_are_not_taken_for_one(rack: BoardRack) -> None:
    first, second = rack.add(), rack.add(mac=rack.boards[0].mac)
    worker = Worker(TASK, Units(), Logs(None), isolate=False)
    began, go_on = threading.Event(), threading.Event()

    def tell(name: str, _fields: Mapping[str, object]) -> None:
        if name == "progress":
            began.set()
            go_on.wait(60)

    with ThreadPoolExecutor() as pool:
        written = pool.submit(worker, first.port, tell, lambda: False)
        assert began.wait(60)
        twin = worker(second.port, lambda *_: None, lambda: False)
        go_on.set()
        assert written.result(60).verdict is Verdict.FLASHED
    assert (twin.verdict, twin.exit_code) == (Verdict.REFUSED, 3)
    assert f"{first.port} has a board with the same MAC" in str(twin.error)
    assert second.flash == bytearray(b"\xff" * len(second.flash))


@pytest.mark.slow  # a dozen runs of esptool and espefuse
def test_programs_of_their_own_do_the_same_work(rack: BoardRack) -> None:
    good, worn = rack.add(), rack.add(Faults(dead_sector=0x13000))
    encrypted = rack.add(Faults(burned=ESP32.security.flash_encryption))
    results = flash([good.port, worn.port, encrypted.port], isolate=True)
    assert results[encrypted.port].verdict is Verdict.REFUSED
    assert "flash encryption is switched on" in str(results[encrypted.port].error)
    assert encrypted.flash == bytearray(b"\xff" * len(encrypted.flash))
    assert results[good.port].verdict is Verdict.FLASHED
    assert all(good.holds(part.offset, part.data) for part in PARTS)
    assert results[worn.port].verdict is Verdict.FAILED
    assert flash([good.port], isolate=True)[good.port].verdict is Verdict.UNCHANGED


def test_a_stop_in_the_middle_ends_every_thread(rack: BoardRack) -> None:
    for _ in range(4):
        rack.add()
    worker = Worker(TASK, Units(), Logs(None), isolate=False)
    running: Rack[BoardResult] = Rack(worker)
    for port in rack.ports:
        running.start(port, worker.deadline_s)
    results = []
    while running.running:
        word = running.next(0.1)
        if word is not None and word.name == "progress":
            running.stop()
        if word is not None and not word.name:
            results.append(word.result or crashed(word.port, word.crash, stopping=True))
    assert Verdict.STOPPED in {result.verdict for result in results}
    assert {result.verdict for result in results} <= {Verdict.STOPPED, Verdict.FLASHED}
    after = flash(rack.ports)
    assert all(result.verdict.good for result in after.values())
    for board in rack.boards:
        assert all(board.holds(part.offset, part.data) for part in PARTS)


@pytest.mark.parametrize("word", ["Connecting", "Uploading", "Running", "Changing", "Changed"])
def test_a_board_that_is_pulled_while_it_connects_is_an_error_that_is_known(
    rack: BoardRack, word: str
) -> None:
    pulled = rack.add()

    def say(line: str) -> None:
        if line.startswith(word):
            rack.unplug(pulled)

    board = EsptoolBoard(
        pulled.port,
        chip="esp32",
        streams=Streams(),
        total_bytes=0x1000,
        stop=lambda: False,
        say=say,
    )
    with contextlib.closing(board), pytest.raises(DeviceError):
        board.connect(921_600)


@pytest.mark.parametrize("isolate", [False, True], ids=["threads", "programs"])
def test_a_port_that_is_in_use_for_a_moment_is_waited_for(rack: BoardRack, isolate: bool) -> None:
    board = rack.add()
    worker = Worker(Task(ORDER, only_identify=True), Units(), Logs(None), isolate=isolate)
    with serial.Serial(board.port, exclusive=True) as modem_manager:
        let_go = threading.Timer(0.5, modem_manager.close)
        let_go.start()
        result = worker(board.port, lambda *_: None, lambda: False)
        let_go.join()
    assert result.verdict is Verdict.IDENTIFIED
    assert result.attempts == 1
