# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorisation lists, faults, transactions and masking of the virtual CSMS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.errors import DeviceError
from evtool.virtual.csms import Csms
from evtool.virtual.csms import ledger as ledger_module
from evtool.virtual.csms.authorization import IdTag, IdTags, LocalList, parse_id_tags
from evtool.virtual.csms.control import Control
from evtool.virtual.csms.faults import KINDS, Faults, parse_fault
from evtool.virtual.csms.ledger import MAX_RUNNING, Ledger
from evtool.virtual.csms.masking import shown
from evtool.virtual.csms.ports import Memory
from evtool.virtual.csms.records import TransactionRecord

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON_MS = 1_714_564_800_000


def test_id_tags_of_a_file() -> None:
    document = {
        "A": "Accepted",
        "B": {"status": "Blocked", "parent": "P"},
        "C": {"expiry": "2024-05-01T11:00:00Z"},
        "D": {"alone": True},
    }
    tags = parse_id_tags(document, "Invalid")
    assert tags.find("a").info(NOON_MS) == {"status": "Accepted"}, "compared without case"
    assert tags.find("B").info(NOON_MS) == {"status": "Blocked", "parentIdTag": "P"}
    assert tags.find("C").info(NOON_MS)["status"] == "Expired"
    assert tags.find("C").info(NOON_MS - 7_200_000)["status"] == "Accepted"
    assert tags.find("D").info(NOON_MS, in_use=True) == {"status": "ConcurrentTx"}
    assert tags.find("other").info(NOON_MS) == {"status": "Invalid"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"A": "Perhaps"},
        {"A" * 21: "Accepted"},
        {"": "Accepted"},
        {"A": {"expiry": "soon"}},
        {"A": {"colour": "red"}},
        {"A": 3},
        {"A": {"parent": ""}},
    ],
)
def test_a_wrong_list_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"id_tag|status|expiry|fields|parent"):
        parse_id_tags(document, "Invalid")


TAGS = st.dictionaries(
    st.text("ABC", min_size=1, max_size=3), st.sampled_from(["Accepted", "Blocked"]), max_size=6
)


@SLOWLY
@given(TAGS, TAGS)
def test_a_difference_leads_from_one_list_to_the_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    old, new = IdTags(), IdTags()
    for tags, given_tags in ((old, before), (new, after)):
        for id_tag, status in given_tags.items():
            tags[id_tag] = status
    known = LocalList(0, {})
    full = {"listVersion": 1, "updateType": "Full"}
    known.apply(full | {"localAuthorizationList": old.local_list(NOON_MS)})
    wanted = new.local_list(NOON_MS)
    change = known.difference(wanted)
    differential = {"listVersion": 2, "updateType": "Differential"}
    known.apply(differential | {"localAuthorizationList": change})
    assert known.version == 2
    assert known.tags == {entry["idTag"]: entry["idTagInfo"] for entry in wanted}


def test_faults_are_counted_and_taken_back() -> None:
    faults = Faults()
    assert not faults
    faults.add(parse_fault(["CP", "Heartbeat", "answer", "drop", "x2"]))
    faults.add(parse_fault(["*", "*", "answer", "delay", "1.5"]))
    assert faults.clear("*") == 1
    assert faults.take("CP", "answer", "Authorize") is None
    assert faults.take("CP", "call", "Heartbeat") is None
    assert faults.take("CP-2", "answer", "Heartbeat") is None
    assert [faults.take("CP", "answer", "Heartbeat") is not None for _ in range(3)] == [
        True,
        True,
        False,
    ]
    assert not faults
    refuse = parse_fault(["CP", "connect", "refuse"])
    assert (refuse.direction, refuse.value) == ("connect", "503")
    assert parse_fault(["*", "Reset", "call", "slow", "20"]).seconds == 0.02


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["CP", "Nonsense", "answer", "drop"],
        ["CP", "Heartbeat", "sideways", "drop"],
        ["CP", "Heartbeat", "received", "duplicate"],
        ["CP", "Heartbeat", "answer", "explode"],
        ["CP", "Heartbeat", "answer", "delay", "nan"],
        ["CP", "Heartbeat", "answer", "delay", "-1"],
        ["CP", "Heartbeat", "answer", "delay", "9999999"],
        ["CP", "Heartbeat", "answer", "error", "Unknown"],
        ["CP", "Heartbeat", "answer", "drop", "3"],
        ["CP", "connect", "refuse", "200"],
    ],
)
def test_a_wrong_fault_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_fault(words)


@SLOWLY
@given(st.lists(st.text(max_size=8) | st.sampled_from(["*", "answer", *KINDS]), max_size=7))
def test_no_words_break_it(words: list[str]) -> None:
    try:
        fault = parse_fault(words)
    except ValueError:
        return
    assert fault.direction in KINDS[fault.kind][0]


class Failing(Memory):
    """A store whose disk is full when told so."""

    def __init__(self) -> None:
        self.full = False

    def begin(self, record: TransactionRecord) -> None:
        self._write()

    def end(self, record: TransactionRecord, meter_values: Sequence[Any] = ()) -> None:
        self._write()

    def transactions(self) -> Sequence[TransactionRecord]:
        return ()

    def _write(self) -> None:
        if self.full:
            raise DeviceError("the disk is full")


START = ("CP", 1, "TAG", 100, "2024-05-01T12:00:00Z")


def test_each_transaction_begins_and_ends_once() -> None:
    ledger = Ledger(Memory())
    record, is_new = ledger.begin(*START)
    assert is_new
    assert ledger.begin(*START) == (record, False)
    assert ledger.running("CP") == [record]
    assert ledger.is_charging("tag")
    stop = (record.transaction_id, 350, "2024-05-01T13:00:00Z", "Local")
    assert ledger.end("CP-2", *stop) == "unknown"
    assert ledger.end("CP", *stop) == "stopped"
    assert ledger.end("CP", *stop) == "repeated"
    assert ledger.end("CP", stop[0], 351, *stop[2:]) == "differs"
    assert (record.meter_stop, record.energy_wh()) == (350, 250)
    assert ledger.running("CP") == []
    assert ledger.end("CP", 99, *stop[1:]) == "unknown"


def test_what_is_not_on_the_disk_has_not_happened() -> None:
    store = Failing()
    ledger = Ledger(store)
    store.full = True
    with pytest.raises(DeviceError):
        ledger.begin(*START)
    assert not ledger.records
    store.full = False
    record, is_new = ledger.begin(*START)
    assert is_new
    store.full = True
    with pytest.raises(DeviceError):
        ledger.end("CP", record.transaction_id, 350, "2024-05-01T13:00:00Z", "Local")
    assert record.is_running
    store.full = False
    assert ledger.end("CP", record.transaction_id, 350, "2024-05-01T13:00:00Z", "x") == "stopped"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([{"value": "1.5", "unit": "kWh"}], 1400),
        ([{"value": "600"}], 500),
        ([{"value": "230", "measurand": "Voltage"}], None),
        ([{"value": "900", "phase": "L1"}, {"value": "700"}], 600),
        ([{"value": "not a number"}], None),
        ([{"value": "1e999"}], None),
    ],
)
def test_the_energy_of_a_running_transaction(
    samples: list[dict[str, Any]], expected: int | None
) -> None:
    ledger = Ledger(Memory())
    record, _ = ledger.begin(*START)
    ledger.add_meter_values("CP", record.transaction_id, [{"sampledValue": samples}])
    assert record.energy_wh() == expected


def test_memory_of_meter_values_is_bounded() -> None:
    ledger = Ledger(Memory())
    record, _ = ledger.begin(*START)
    for _ in range(500):
        ledger.add_meter_values("CP", record.transaction_id, [{"sampledValue": []}])
    assert record.meter_value_count == 500
    assert len(record.meter_values) < 500


def test_no_password_of_a_url_is_shown() -> None:
    for action, payload in (
        ("UpdateFirmware", {"location": "ftp://user:hush@host/x"}),
        ("GetDiagnostics", {"location": "ftp://user:hush@host/x"}),
        ("GetLog", {"log": {"remoteLocation": "ftp://user:hush@host/x"}}),
        ("SignedUpdateFirmware", {"firmware": {"location": "ftp://user:hush@host/x"}}),
        ("GetDiagnostics", {"location": "ftp://user:hu/shush@host/x"}),
        ("UpdateFirmware", {"location": "ftp://user:pa@ss/hush@host/x"}),
        ("UpdateFirmware", {"location": "ftp://user:pa\nss/hush@host/x"}),
        ("GetLog", {"log": {"remoteLocation": "https://hush/:/hush@host:21/x"}}),
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "hush"}),
    ):
        assert "hush" not in str(shown(action, payload))
        assert "hush" in str(payload)
    assert shown("GetLog", {"status": "Accepted"}) == {"status": "Accepted"}
    plain = {"location": "http://host:8080/a/b.bin"}
    assert shown("GetDiagnostics", plain) == plain


def test_an_id_tag_is_described() -> None:
    assert IdTag("Blocked").describe()["status"] == "Blocked"


def test_memory_of_transactions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_ENDED", 3)
    ledger = Ledger(Memory())
    for number in range(10):
        record, _ = ledger.begin("CP", 1, "TAG", number, "2024-05-01T12:00:00Z")
        ledger.end("CP", record.transaction_id, number + 1, "2024-05-01T13:00:00Z", "Local")
    assert list(ledger.records) == [8, 9, 10]
    assert ledger.begin("CP", 1, "TAG", 9, "2024-05-01T12:00:00Z")[1] is False
    assert [record.transaction_id for record in ledger.latest(2)] == [9, 10]
    assert [record.transaction_id for record in ledger.latest(None, "CP")] == [8, 9, 10]
    assert ledger.latest(5, "CP-2") == []


def test_starts_without_a_stop_give_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_ENDED", 2)
    ledger = Ledger(Memory())
    other, _ = ledger.begin("CP-2", 1, "OTHER", 0, "2024-05-01T12:00:00Z")
    lost = []
    for number in range(MAX_RUNNING + 3):
        record, is_new = ledger.begin("CP", 1, f"TAG-{number}", 0, "2024-05-01T12:00:00Z")
        assert is_new
        lost += ledger.abandon("CP")
    assert [record.id_tag for record in lost] == ["TAG-0", "TAG-1", "TAG-2"]
    assert len(ledger.running("CP")) == MAX_RUNNING
    assert ledger.running("CP-2") == [other]
    assert not ledger.is_charging("TAG-2")
    stop = (9, "2024-05-01T13:00:00Z", "Local")
    assert ledger.end("CP", lost[2].transaction_id, *stop) == "stopped", "memory still has it"
    assert ledger.end("CP", lost[2].transaction_id, *stop) == "repeated"
    assert ledger.end("CP", lost[0].transaction_id, *stop) == "unknown", "no room for more"
    for number in range(MAX_RUNNING):  # and the books still balance
        ledger.end("CP", record.transaction_id - number, *stop)
    assert ledger.running("CP") == []
    assert len(ledger.records) == 3


class Counting(Memory):
    """A store that counts the meter values it is given, and begins with one transaction."""

    def __init__(self, *begun: TransactionRecord) -> None:
        self.count = 0
        self._begun = begun

    def transactions(self) -> Sequence[TransactionRecord]:
        return self._begun

    def add_meter_values(self, transaction_id: int, meter_values: Sequence[Any]) -> None:
        assert meter_values
        self.count += len(meter_values)


def test_meter_values_of_one_transaction_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_METER_VALUES", 10)
    monkeypatch.setattr(ledger_module, "MAX_LATE", 3)
    store = Counting()
    ledger = Ledger(store)
    values = [{"sampledValue": [{"value": "1"}]}] * 4
    running, _ = ledger.begin(*START)
    ended, _ = ledger.begin(*START[:3], 5, START[4])
    ledger.end("CP", ended.transaction_id, 9, "2024-05-01T13:00:00Z", "Local")
    told = [ledger.add_meter_values("CP", running.transaction_id, values[:3]) for _ in range(3)]
    assert told == [running] * 3
    assert not running.is_full
    for _ in range(5):
        ledger.add_meter_values("CP", running.transaction_id, values)
    assert (running.meter_value_count, running.is_full, store.count) == (10, True, 10)
    assert len(running.meter_values) > 10, "the latest count, kept or not"
    ledger.add_meter_values("CP", ended.transaction_id, values[:3])
    assert not ended.is_full, "a few may be late"
    for _ in range(5):
        ledger.add_meter_values("CP", ended.transaction_id, values)
    assert (ended.meter_value_count, ended.is_full, store.count) == (3, True, 13)
    assert ledger.add_meter_values("CP-2", ended.transaction_id, values) is None


def test_a_store_of_many_lost_transactions_is_no_obstacle() -> None:
    begun = [TransactionRecord(n, "CP", 1, "T", n, START[4]) for n in range(1, MAX_RUNNING + 9)]
    ledger = Ledger(Counting(*begun))
    assert ledger.running("CP") == begun[-MAX_RUNNING:]
    assert ledger.begin(*START[:2], "NEW", 0, START[4])[1]


@pytest.mark.parametrize(
    "samples", [[{"value": "1"}] * 1000, [{"value": "x" * 100_000}]], ids=["many", "long"]
)
def test_what_is_out_of_proportion_is_not_kept(samples: list[dict[str, str]]) -> None:
    ledger = Ledger(Memory())
    record, _ = ledger.begin(*START)
    ledger.add_meter_values("CP", record.transaction_id, [{"sampledValue": samples}])
    assert (record.meter_value_count, len(record.meter_values)) == (1, 0)


def test_a_list_over_the_network_is_described_as_far_as_it_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    csms = Csms({}, open_to_all=True, clock=lambda: 0, report=lambda _: None)
    for number in range(20):
        csms.start_transaction(f"CP-{number % 2}", 1, "TAG", number, START[4])
    described: list[int] = []
    describe = TransactionRecord.describe

    def counted(record: TransactionRecord) -> dict[str, object]:
        described.append(record.transaction_id)
        return describe(record)

    monkeypatch.setattr(TransactionRecord, "describe", counted)
    asyncio.run(Control(csms, most=3).obey("transactions"))
    assert described == [18, 19, 20]
    described.clear()
    asyncio.run(Control(csms, most=3).obey("transactions CP-0"))
    assert described == [15, 17, 19]
    described.clear()
    found = asyncio.run(Control(csms).obey("transactions"))["transactions"]
    assert isinstance(found, list)
    assert len(found) == len(described) == 20
