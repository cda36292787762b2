# SPDX-License-Identifier: GPL-3.0-or-later
"""A watch over ports that come and go, with a clock of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_rig import Notebook, Rig, ScriptedPort

from evtool.errors import CheckFailed, DeviceError, EvtoolError, LinkTimeout
from evtool.monitor.follow import Line
from evtool.monitor.goal import Goal
from evtool.monitor.keys import BoardKeys, PassOn
from evtool.monitor.outgoing import AT_ONCE, Pace
from evtool.monitor.raw_keys import RawConduct, RawKeys
from evtool.monitor.stream import Audience, News
from evtool.monitor.wiring import Conduct

BMS = "[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms raw=02 D0"
BOOT = "[event] boot version=0.1.0 build=1a2b charge_point=CP-0001 reset=power_on"
PANIC = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled."
GOAL = Goal(count=2, records=("bms",), timeout_ms=60_000)
GONE = "PORT: the port disappeared"


def test_a_port_that_returns_is_asked_for_the_view_again_but_starts_nothing_again() -> None:
    first = ScriptedPort([BMS.encode() + b"\nhalf a li", DeviceError(GONE)])
    second = ScriptedPort([BMS.encode() + b"\n"])
    away = [DeviceError("none"), None, DeviceError("none")]
    rig = Rig({"PORT": [first, *away, second]}, GOAL, Conduct(send=b"s"))
    notebook = rig.run()
    assert first.sent == b"1s"
    assert second.sent == b"1"
    assert first.discarded_before == b""
    assert second.discarded_before is None
    assert notebook.texts == [BMS, "half a li", BMS]
    assert notebook.notes == ["connected", "disconnected", "connected"]
    assert notebook.log == [BMS, "half a li", BMS]
    assert first.closed
    assert second.closed


def test_a_port_that_disappears_ends_it_where_it_is_not_to_be_waited_for() -> None:
    port = ScriptedPort([b"last words", DeviceError(GONE)])
    rig = Rig({"PORT": [port]}, GOAL, Conduct(reconnect=False))
    with pytest.raises(DeviceError, match="disappeared"):
        rig.run()
    assert port.closed
    assert rig.notebook.log == ["last words"]


def test_the_last_port_that_cannot_return_ends_it() -> None:
    first = ScriptedPort([b"a\n", DeviceError("FIRST: gone")])
    second = ScriptedPort([b"b\n", b"c\n", b"d\n", DeviceError("SECOND: gone")])
    rig = Rig({"A": [first], "B": [second]}, can_return=lambda name: False)
    with pytest.raises(DeviceError, match="SECOND"):
        rig.run()
    assert rig.notebook.log == ["a", "b", "c", "d"]


def test_a_port_that_stays_away_is_an_error_when_time_is_up() -> None:
    ports: list[ScriptedPort | DeviceError | None] = [ScriptedPort([DeviceError("gone")])]
    ports += [DeviceError(f"no serial port {attempt}") for attempt in range(1000)]
    rig = Rig({"PORT": ports}, GOAL)
    with pytest.raises(DeviceError, match="no serial port"):
        rig.run()
    assert 60_000 <= rig.clock.now <= 61_000


def test_quitting_while_a_port_is_away_is_no_success() -> None:
    ports: list[ScriptedPort | DeviceError | None] = [ScriptedPort([DeviceError(GONE)])]
    ports += [DeviceError("no serial port") for _ in range(1000)]
    with pytest.raises(DeviceError):
        Rig({"PORT": ports}, pressed=[b"", b"", b"", b"q"]).run()


def test_a_signal_ends_it_and_closes_everything() -> None:
    port = ScriptedPort([b"a\n"] * 100)
    rig = Rig({"PORT": [port]}, stopped=lambda: rig.clock.now > 100)
    assert len(rig.run().log) > 1
    assert port.closed
    assert port.script


def test_a_board_that_starts_anew_is_asked_for_the_view_again() -> None:
    record = BMS.encode() + b"\n"
    port = ScriptedPort([record, BOOT.encode() + b"\n", record])
    assert Rig({"PORT": [port]}, GOAL).run().texts == [BMS, BOOT, BMS]
    assert port.sent == b"11"


def test_a_watch_without_anybody_who_takes_lines_sees_a_restart_all_the_same() -> None:
    port = ScriptedPort([b"text\n" + BOOT.encode() + b"\n"])
    Rig({"PORT": [port]}, Goal(duration_ms=100), display=False).run()
    assert port.sent == b"11"


def test_records_off_the_view_are_logged_and_not_shown() -> None:
    other = "[output] v=71.95V"
    data = "\n".join([other, BMS, "[fan] on=1", BMS, ""]).encode()
    notebook = Rig({"PORT": [ScriptedPort([data])]}, GOAL).run()
    assert notebook.texts == [BMS, "[fan] on=1", BMS]
    assert notebook.log == [other, BMS, "[fan] on=1", BMS]


def test_what_came_with_the_line_that_ends_it_is_logged_and_not_shown() -> None:
    goal = Goal(until=re.compile("two"), timeout_ms=1000)
    notebook = Rig({"PORT": [ScriptedPort([b"one\ntwo\nthree\n"])]}, goal).run()
    assert notebook.texts == ["one", "two"]
    assert notebook.log == ["one", "two", "three"]
    assert notebook.data == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("goal", [Goal(duration_ms=500), Goal(count=1, timeout_ms=500)])
def test_a_line_that_has_not_ended_is_kept_and_is_no_record(goal: Goal) -> None:
    rig = Rig({"PORT": [ScriptedPort([b"boot: press any key", BMS.encode()])]}, goal)
    with contextlib.suppress(CheckFailed, LinkTimeout):
        rig.run()
    assert rig.notebook.log == ["boot: press any key" + BMS]
    assert rig.notebook.texts == []


def test_what_must_not_come_is_found_in_a_line_that_has_not_ended() -> None:
    goal = Goal(duration_ms=500, fail_on=re.compile("halted"))
    with pytest.raises(CheckFailed, match="system halted"):
        Rig({"PORT": [ScriptedPort([b"fine\nsystem halted"])]}, goal).run()


def test_what_is_held_back_of_a_secret_at_the_end_is_kept() -> None:
    goal = Goal(until=re.compile("login"))
    rig = Rig({"PORT": [ScriptedPort([b"login\ncor"])]}, goal, secrets=("correct horse",))
    notebook = rig.run()
    assert notebook.log == ["login", "cor"]
    assert notebook.data == b"login\ncor"


def test_the_line_that_must_not_come_is_shown_before_it_ends_badly() -> None:
    rig = Rig(
        {"A": [ScriptedPort([])], "B": [ScriptedPort([b"fine\nbad\n"])]},
        Goal(fail_on=re.compile("bad")),
    )
    with pytest.raises(CheckFailed, match="B: the board said"):
        rig.run()
    assert rig.notebook.texts == ["fine", "bad"]


def test_a_panic_before_the_end_of_the_time_is_no_success_without_anybody_looking() -> None:
    port = ScriptedPort([PANIC.encode() + b"\n"])
    with pytest.raises(CheckFailed, match="Guru"):
        Rig({"PORT": [port]}, Goal(duration_ms=100), display=False).run()


def test_keys_go_to_the_board_and_q_ends() -> None:
    port = ScriptedPort([])
    notebook = Rig({"PORT": [port]}, pressed=[b"S\x1bx", b"3", b"q9"]).run()
    assert port.sent == b"1s3"
    assert notebook.notes == ["connected", "s", "3"]


@pytest.mark.parametrize("polls", [True, False])
def test_keys_that_end_the_waiting_need_not_be_asked_for(*, polls: bool) -> None:
    goal = Goal(duration_ms=5_000)
    rig = Rig({"P": [ScriptedPort([])]}, goal, pressed=[b"2"], polls_keys=polls, display=False)
    rig.waiter.was_alarmed = False
    rig.run()
    assert rig.pressed == ([] if polls else [b"2"])
    woken = Rig({"P": [ScriptedPort([])]}, goal, pressed=[b"2"], polls_keys=False, display=False)
    woken.run()
    assert woken.pressed == []


def test_where_a_little_is_not_shown_yet_the_rest_is_short() -> None:
    def longest_rest(is_behind: Callable[[], bool]) -> float:
        # Bytes without a pause, in which nobody asks whether there are any: so a b"" at the end.
        port = ScriptedPort([*([b"text\n"] * 20), b""])
        rig = Rig({"P": [port]}, Goal(duration_ms=2_000), is_behind=is_behind)
        rig.run()
        return max(rig.waiter.rests)

    assert longest_rest(lambda: True) < longest_rest(lambda: False)


def test_keys_go_to_every_port() -> None:
    ports = {"A": ScriptedPort([]), "B": ScriptedPort([])}
    Rig({name: [port] for name, port in ports.items()}, pressed=[b"3", b"q"]).run()
    assert [port.sent for port in ports.values()] == [b"13", b"13"]


def test_secrets_are_masked_before_screen_and_log() -> None:
    pieces: list[bytes | DeviceError] = [
        b"pass correct ho",
        b"rse battery!\n" + BMS.encode(),
        b"\n",
    ]
    rig = Rig(
        {"PORT": [ScriptedPort(pieces)]},
        Goal(count=1, records=("bms",)),
        secrets=("correct horse battery",),
    )
    notebook = rig.run()
    assert notebook.texts == notebook.log == ["pass ****!", BMS]
    assert b"correct" not in notebook.data


def test_who_asked_to_see_secrets_sees_them_and_the_log_does_not() -> None:
    seen = Notebook()
    clear = Audience()
    clear.prompt.append(seen)
    clear.blocks.append(seen)
    rig = Rig(
        {"PORT": [ScriptedPort([b"correct horse\n"])]},
        Goal(duration_ms=100),
        secrets=("correct horse",),
        audience=Audience(clear=clear),
    )
    assert rig.run().log == ["****"]
    assert (seen.log, seen.data) == (["correct horse"], b"correct horse\n")


def test_the_beginning_of_a_secret_is_shown_when_nothing_follows() -> None:
    rig = Rig(
        {"PORT": [ScriptedPort([b"login: c"])]}, Goal(duration_ms=500), secrets=("correct horse",)
    )
    assert rig.run().data == b"login: c"


def test_silence_is_news() -> None:
    news: list[News] = []

    class Listener:
        def on_news(self, each: News) -> None:
            news.append(each)

    audience = Audience()
    audience.news.append(Listener())
    Rig({"PORT": [ScriptedPort([])]}, Goal(duration_ms=20_000), audience=audience).run()
    assert [(each.event, each.for_ms) for each in news] == [("connected", 0), ("silence", 5000)]


def test_the_first_error_of_a_consumer_ends_it() -> None:
    class Failing:
        def on_lines(self, lines: Sequence[Line]) -> None:
            rig.session.end(EvtoolError(lines[0].text))

    audience = Audience()
    audience.lines.append(Failing())
    rig = Rig({"PORT": [ScriptedPort([b"one\n", b"two\n"])]}, audience=audience)
    with pytest.raises(EvtoolError, match="one"):
        rig.run()


def test_a_reset_is_made_once_and_what_waits_is_kept() -> None:
    port = ScriptedPort([b"boot\n"])
    Rig({"PORT": [port]}, Goal(duration_ms=100), Conduct(reset=True)).run()
    assert port.resets == 1
    assert port.discarded_before is None


@settings(deadline=None, max_examples=40)
@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 70),
    st.sampled_from([AT_ONCE, Pace(3), Pace(0, 1)]),
)
def test_a_paste_arrives_whole_whatever_room_there_is(data: bytes, room: int, pace: Pace) -> None:
    port = ScriptedPort([], room=room)
    conduct = Conduct(ask_view=False, paste=data, pace=pace)
    Rig({"PORT": [port]}, Goal(duration_ms=10_000), conduct).run()
    assert port.sent == data


def test_a_port_that_takes_nothing_ends_it() -> None:
    port = ScriptedPort([], room=0)
    with pytest.raises(LinkTimeout, match="took no bytes for 2 s"):
        Rig({"PORT": [port]}).run()
    assert port.closed


def test_what_a_pipe_has_is_taken_no_faster_than_it_is_sent() -> None:
    port = ScriptedPort([], room=0)
    rig = Rig({"PORT": [port]}, keys=PassOn(AT_ONCE), pressed=[b"x" * 50_000] * 9)
    with pytest.raises(LinkTimeout):
        rig.run()
    assert len(rig.pressed) == 7


def two_ports(first: ScriptedPort, second: ScriptedPort) -> dict[str, list[Any]]:
    return {"A": [first], "B": [second, *(DeviceError("B is away") for _ in range(1000))]}


def test_a_port_that_takes_no_bytes_is_read_on_and_is_no_success() -> None:
    first = ScriptedPort([*[b"x\n"] * 1000, b"done\n"])
    second = ScriptedPort([b"y\n"] * 1000, room=0)
    rig = Rig(two_ports(first, second), Goal(until=re.compile("done")))
    with pytest.raises(LinkTimeout, match="B: the port took no bytes for 2 s"):
        rig.run()
    assert rig.notebook.notes == ["connected", "connected", "refused"]
    assert rig.clock.now > 2000
    assert len(rig.notebook.log) > 1500  # both of them, to the end


def test_the_only_port_that_takes_no_bytes_ends_the_watch() -> None:
    rig = Rig({"A": [ScriptedPort([b"x\n"] * 1000, room=0)]})
    with pytest.raises(LinkTimeout, match="took no bytes"):
        rig.run()
    assert rig.clock.now < 2100


@pytest.mark.parametrize(
    "goal", [Goal(until=re.compile(r"^\[bms")), Goal(count=1, records=("bms",))]
)
def test_a_goal_that_is_reached_while_another_port_is_away_is_no_success(goal: Goal) -> None:
    first = ScriptedPort([*[b"x\n"] * 10, BMS.encode() + b"\n"])
    rig = Rig(two_ports(first, ScriptedPort([b"y\n", DeviceError(GONE)])), goal)
    with pytest.raises(DeviceError):
        rig.run()
    assert rig.notebook.log[-1] == BMS
    # a port that is back is none that is away
    second = ScriptedPort([b"y\n"])
    ports = two_ports(ScriptedPort([*[b"x\n"] * 100, BMS.encode() + b"\n"]), second)
    ports["B"] = [ScriptedPort([DeviceError(GONE)]), second]
    Rig(ports, goal).run()


def test_a_board_that_says_nothing_is_no_success_beside_one_that_speaks() -> None:
    ports = two_ports(ScriptedPort([BMS.encode() + b"\n"]), ScriptedPort([]))
    rig = Rig(ports, Goal(duration_ms=3000, records=("bms",)))
    with pytest.raises(LinkTimeout, match=r"^B: the board said nothing for 3 s"):
        rig.run()


LONG_PASTE = Conduct(paste=b"a line\n" * 20_000, pace=Pace(20))


def test_a_long_paste_keeps_nobody_from_quitting() -> None:
    port = ScriptedPort([])
    rig = Rig({"p": [port]}, conduct=LONG_PASTE, pressed=[b"", b"q"])
    rig.run()
    assert rig.session.was_quit
    assert len(port.sent) < 1000


def test_what_a_pipe_has_is_left_there_while_much_is_still_to_be_sent() -> None:
    rig = Rig(
        {"p": [ScriptedPort([b"hello\n"])]},
        goal=Goal(duration_ms=1000),
        conduct=LONG_PASTE,
        pressed=[b"more"],
        keys=PassOn(AT_ONCE),
    )
    rig.run()
    assert rig.pressed == [b"more"]


@pytest.mark.parametrize("keys", ["tables", "raw"])
def test_a_watch_can_be_quit_while_a_port_is_being_connected_to(keys: str) -> None:
    """It is no success: the port was never there."""
    near = ScriptedPort([BMS.encode() + b"\n"])
    rig = Rig(
        {"near": [near], "far": [None, None, None]},
        keys=BoardKeys()
        if keys == "tables"
        else RawKeys(["near", "far"], RawConduct(), None, lambda data: None, lambda name: b""),
        pressed=[b"", b"q" if keys == "tables" else b"\x1d"],
    )
    with pytest.raises(DeviceError, match="far: it has not answered yet"):
        rig.run()
    assert rig.session.was_quit
    assert near.closed
