# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's rows and template: orders for the good ones, a line for each thing that is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from fleet_files import TEMPLATE, Fleet
from hypothesis import given
from hypothesis import strategies as st

from evtool.project import SecretRef
from evtool.provision.fleet.columns import COLUMNS
from evtool.provision.fleet.fleet_toml import read_fleet_toml
from evtool.provision.fleet.order import Where
from evtool.provision.fleet.seen import SeenValues
from evtool.provision.fleet.uniqueness import Held, Numbers
from evtool.provision.secrets.fingerprint import key_fingerprint

KEYS = TEMPLATE.replace("{ generate = true }", '{ file = "keys/{serial}.txt" }')


def test_a_row_and_the_template_make_an_order() -> None:
    [order], problems, warnings = Fleet().check(
        "serial,ssid,mac\nSN-1,caf\u00e9,24-6F-28-AA-BB-CC\n"
    )
    assert (problems, warnings) == ([], [])
    unit = order.charge_point
    assert (unit.identity, unit.serial_number, unit.model) == ("CP-SN-1", "SN-1", "EV-CAN-1")
    assert unit.local_id_tag == "LOCAL"
    assert (order.wifi_ssid, order.mac, order.security_profile) == ("café", "24:6f:28:aa:bb:cc", 1)
    assert order.wifi_passphrase == SecretRef("env", "WIFI")
    assert order.authorization_key == SecretRef("generate")
    assert order.where == Where("f.csv", 2)
    assert dict(order.variables) == {"serial_number": "SN-1"}
    assert order.flash_encryption is False


def test_names_are_filled_in_values_and_in_references() -> None:
    template = TEMPLATE.replace('env = "WIFI"', 'env = "WIFI_{site}_{n:03}"').replace(
        '"bench"', '"{{{site}}}-{floor}"'
    )
    template = template.replace('["wifi_passphrase"]', "[]")
    template += '[variables]\nsite = "main"\nfloor = "{site}.{n}"\n'
    secrets = {"WIFI_main_001": "correct-horse", "WIFI_north_002": "battery-staple"}
    orders, problems, _ = Fleet(template, secrets).check("serial,site\nSN-1,\nSN-2,north\n")
    assert problems == []
    assert [order.wifi_ssid for order in orders] == ["{main}-main.1", "{north}-north.2"]
    assert [order.wifi_passphrase.name for order in orders] == list(secrets)


def test_a_rows_own_values_are_taken_as_they_are() -> None:
    [order], problems, _ = Fleet().check("serial,ssid\nSN-1,{n} {{x\n")
    assert problems == []
    assert order.wifi_ssid == "{n} {{x"


def test_a_secret_in_the_file_itself_is_refused_and_not_repeated() -> None:
    secret = "hunter2hunter2hunter"
    _, problems, _ = Fleet().check(f"serial,authorization_key,passphrase\nSN-1,{secret},{secret}\n")
    assert len(problems) == 2
    assert all("a secret itself never stands in this file" in problem for problem in problems)
    assert secret not in "".join(problems)


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ("identity=CP 1", "identity", "must be 1 to 48 characters"),
        ("identity=CP:1", "identity", "must be 1 to 48 characters"),
        (f"identity={'x' * 49}", "identity", "must be 1 to 48 characters"),
        (f"serial={'x' * 26}", "serial_number", "1 to 25 printable ASCII"),
        ("serial=", "serial_number", "missing: neither the row nor the template has it"),
        ("serial= SN-1", "serial_number", "has blanks around it"),
        ('serial="=""0001"""', "serial_number", "is a spreadsheet's formula"),
        ("vendor=Exämple", "vendor", "1 to 20 printable ASCII"),
        (f"model={'x' * 21}", "model", "1 to 20 printable ASCII"),
        (f"local_id_tag={'x' * 21}", "local_id_tag", "0 to 20 printable ASCII"),
        (f"ssid={'é' * 17}", "wifi_ssid", "is 34 bytes of UTF-8; an SSID is 1 to 32 bytes"),
        ("csms_url=http://x/", "csms_url", "must be ws://host"),
        ("csms_url=ws://u:p@x/", "csms_url", "a user name or password does not belong in it"),
        ("csms_url=ws://x/CP-SN-1", "csms_url", "ends in the identity already"),
        ("security_profile=4", "security_profile", "must be 0, 1, 2 or 3"),
        ("security_profile=3", "client_certificate", "missing; security_profile 3 needs the unit"),
        ("security_profile=3", "client_key", "missing; security_profile 3 needs the unit"),
        ("security_profile=2.0", "security_profile", "must be 0, 1, 2 or 3"),
        ("security_profile=2", "csms_url", "security_profile 2 needs wss://"),
        ("csms_url=wss://x/", "security_profile", "a wss:// url needs security_profile 2"),
        ("ca_certificate=root.pem", "ca_certificate", "cannot read root.pem: No such file"),
        ("mac=24:6f:28:aa:bb", "mac", "is no MAC"),
        ("mac=24:6f:28:aa:bb-cc", "mac", "is no MAC"),
        ("mac=ff:ff:ff:ff:ff:ff", "mac", "a group's, or zero"),
        ("flash_encryption=perhaps", "flash_encryption", "must be true or false"),
        ("passphrase=env:NOT_SET", "wifi_passphrase", "nothing at NOT_SET"),
        ("passphrase=env:SHORT", "wifi_passphrase", "(7 characters) must be 8 to 63"),
        ("passphrase=env:NOT-A-NAME", "wifi_passphrase", "no name of an environment variable"),
        ("passphrase=env:-hunter2-", "wifi_passphrase", "what stands there is no name of an"),
        ("passphrase=env:", "wifi_passphrase", "must be a reference"),
        ("passphrase=generated", "wifi_passphrase", "must be a reference"),
        ("authorization_key=prompt", "authorization_key", "a prompt asks once for all units"),
        ("authorization_key=env:SHORT", "authorization_key", "must be 16 to 20 printable"),
        ("authorization_key=env:ODD", "authorization_key", "must be 16 to 20 printable"),
        ("client_key=env:WIFI", "client_key", "goes with security_profile 3; this is 1"),
        ("client_key=generate", "client_key", "belongs to a certificate"),
        ("client_key=prompt", "client_key", "has several lines, so it is not asked for"),
    ],
)
def test_each_rule_names_line_column_and_what_is_right(row: str, column: str, said: str) -> None:
    name, _, value = row.partition("=")
    columns = {"serial": "SN-1", "model": "M"} | {name: value}
    csv = f"{','.join(columns)}\n{','.join(columns.values())}\n"
    secrets = {"WIFI": "correct-horse", "SHORT": "7-chars", "ODD": "0" * 41}
    orders, problems, _ = Fleet(secrets=secrets).check(csv)
    assert orders == []
    # Where the serial number is missing, so is the identity that is made of it.
    told = [problem for problem in problems if problem.startswith(f"f.csv:2: {column}: ")]
    # What the template says as well is told at its place there.
    told += [each for each in problems if each.startswith("fleet.toml:") and f" {column}: " in each]
    assert len(told) == 1
    assert said in told[0]


def test_a_fault_of_the_template_is_told_once_at_its_place() -> None:
    template = TEMPLATE.replace("ws://csms", "http://csms").replace('"Example"', '"{colour}"')
    orders, problems, _ = Fleet(template).check(
        "serial\n" + "".join(f"SN-{n}\n" for n in range(50))
    )
    assert orders == []
    assert [problem.split(":")[1] for problem in problems] == ["5", "9"]
    assert "vendor: {colour} has no value" in problems[0]


def test_a_column_that_nobody_has_is_told_once_at_the_header() -> None:
    template = TEMPLATE.replace('model = "EV-CAN-1"\n', "")
    _, problems, _ = Fleet(template).check("# units\nserial\nSN-1\nSN-2\n")
    assert problems == ["f.csv:2: model: missing: neither the row nor the template has it"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{identity}", "{identity} stands for itself"),
        ("{wifi_passphrase}", "is a secret, and has no place in another value"),
        ("a{b", "a { alone"),
        ("a}b", "a } alone"),
        ("{serial:05}", "{serial:05} needs a number, not 'SN-1'"),
    ],
)
def test_what_a_template_may_not_say(text: str, said: str) -> None:
    template = TEMPLATE.replace('"CP-{serial}"', f'"{text}"')
    orders, problems, _ = Fleet(template).check("serial\nSN-1\n")
    assert orders == []
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize("site", ["../other", "/etc", "..", "a\\b"])
def test_a_filled_name_leads_to_no_other_folder(site: str) -> None:
    template = TEMPLATE.replace('env = "WIFI"', 'file = "keys/{site}"')
    orders, problems, _ = Fleet(template).check(f"serial,site\nSN-1,{site}\n")
    assert orders == []
    assert "in a file's name it holds no / and is not .." in problems[0]


def test_what_two_units_have_is_told_with_the_first_place() -> None:
    csv = (
        "serial,mac,authorization_key\n"
        "SN-1,24:6f:28:00:00:01,env:A\n"
        "SN-2,24:6f:28:00:00:02,env:B\n"
        "sn-1,24-6F-28-00-00-02,env:C\n"
    )
    secrets = {"WIFI": "correct-horse", "A": "a key of 16 char", "B": "another key....."}
    # The same key in its other form.
    secrets["C"] = secrets["A"].encode().hex()
    orders, problems, _ = Fleet(secrets=secrets).check(csv)
    assert [order.identity for order in orders] == ["CP-SN-1", "CP-SN-2"]
    assert [problem.split(": ")[1] for problem in problems] == [
        "identity", "serial_number", "mac", "authorization_key",
    ]  # fmt: skip
    places = [problem.rsplit("(", 1)[1] for problem in problems]
    assert places == ["f.csv:2)", "f.csv:2)", "f.csv:3)", "f.csv:2)"]
    assert "a key of" not in "".join(problems)


def test_one_passphrase_for_all_must_be_declared() -> None:
    csv = "serial\nSN-1\nSN-2\n"
    assert Fleet().check(csv)[1] == []
    _, problems, _ = Fleet(TEMPLATE.replace('["wifi_passphrase"]', "[]")).check(csv)
    assert len(problems) == 1
    assert "the same secret as another unit's" in problems[0]
    assert problems[0].endswith("(f.csv:2)")


@dataclass
class Recorded:
    """A ledger's claims."""

    claims: dict[tuple[str, str], str] = field(default_factory=dict)
    serials: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, Numbers] = field(default_factory=dict)

    def prepare(self, wanted: Iterable[tuple[str, str]]) -> None:
        pass

    def holder(self, kind: str, value: str) -> Held | None:
        unit = self.claims.get((kind, value))
        return None if unit is None else Held(unit, "2029-01-01T00:00:00.000Z")

    def serial_of(self, identity: str) -> str | None:
        return self.serials.get(identity)

    def has_number(self, range_name: str, identity: str) -> bool:
        return identity in self.serials

    def numbers_of(self, range_name: str) -> Numbers | None:
        return self.ranges.get(range_name)


DRAWING = TEMPLATE.replace('"CP-{serial}"', '"CP-{n}"') + "serial_number = %s\n"
FROM_RANGE = DRAWING % '{ range = "2030", format = "EV{number:06}" }'


def test_a_serial_number_may_be_drawn_from_a_range() -> None:
    recorded = Recorded(serials={"CP-2": "EV000001"}, ranges={"2030": Numbers(last=99, left=2)})
    rows = "ssid,serial\n" + "a,\nb,\nc,OWN-1\nd,\n"
    orders, problems, _ = Fleet(FROM_RANGE, holders=recorded).check(rows)
    assert problems == []
    assert [order.charge_point.serial_number for order in orders] == ["", "", "OWN-1", ""]
    assert [order.draws is None for order in orders] == [False, False, True, False]
    assert orders[0].draws is not None
    assert (orders[0].draws.range, orders[0].draws.text(7)) == ("2030", "EV000007")
    # Without a ledger nobody can say whether there is such a range.
    assert Fleet(FROM_RANGE).check(rows)[1] == []


def test_a_range_that_has_no_numbers_for_all_is_found_before_a_board_is_touched() -> None:
    rows = "ssid\na\nb\nc\nd\n"
    recorded = Recorded(ranges={"2030": Numbers(last=99, left=2)})
    _, problems, _ = Fleet(FROM_RANGE, holders=recorded).check(rows)
    assert [each.partition(": ")[0] for each in problems] == ["f.csv:4", "f.csv:5"]
    assert "range '2030' has 2" in problems[0]
    _, problems, _ = Fleet(FROM_RANGE, holders=Recorded()).check(rows)
    assert len(problems) == 1  # of the template, once
    assert "there is no range '2030'" in problems[0]
    long = Recorded(ranges={"2030": Numbers(last=10**24, left=9)})
    _, problems, _ = Fleet(FROM_RANGE, holders=long).check("ssid\na\n")
    assert "longer than 25 characters" in problems[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{ range = "" }', "the range has no name"),
        ('{ range = "2030", format = "EV" }', "must hold {number}"),
        ('{ range = "2030", format = "{number}{number}" }', "must hold {number}"),
        ('{ range = "2030", format = "{n}{number}" }', "no other {}"),
        ('{ range = "2030", form = "{number}" }', "must be a text, or { range"),
        ("{ generate = true }", "must be a text, or { range"),
        ('{ range = "2030", format = "ä{number}" }', "serial_number"),
    ],
)
def test_a_range_is_written_in_one_way(value: str, said: str) -> None:
    orders, problems, _ = Fleet(DRAWING % value).check("ssid\na\n")
    assert orders == []
    assert said in problems[0]


def test_what_is_not_drawn_yet_stands_in_no_other_value() -> None:
    template = FROM_RANGE.replace('"CP-{n}"', '"CP-{serial}"')
    orders, problems, _ = Fleet(template).check("ssid\na\n")
    assert orders == []
    assert "{serial_number} is drawn when a board becomes the unit" in problems[0]


def test_what_was_ever_provisioned_belongs_to_whom_it_was_given() -> None:
    key = "a key of 16 char"
    recorded = Recorded(
        {
            ("identity", "CP-SN-1"): "CP-SN-1",
            ("serial", "SN-1"): "CP-SN-1",
            ("serial", "SN-2"): "CP-OLD",
            ("mac", "24:6f:28:00:00:03"): "CP-OLD",
            ("key", key_fingerprint(key)): "CP-OLD",
            ("identity", "CP-SN-5"): "CP-SN-5",
        },
        {"CP-SN-1": "SN-1", "CP-SN-5": "SN-99"},
    )
    csv = "serial,mac,authorization_key\nSN-1,,\nSN-2,,\nSN-3,246f28000003,\nSN-4,,env:A\nSN-5,,\n"
    secrets = {"WIFI": "correct-horse", "A": key}
    orders, problems, _ = Fleet(secrets=secrets, holders=recorded).check(csv)
    assert [order.identity for order in orders] == ["CP-SN-1"]  # again: nothing is wrong with that
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["f.csv:3", "serial_number"],
        ["f.csv:4", "mac"],
        ["f.csv:5", "authorization_key"],
        ["f.csv:6", "identity"],
    ]
    assert all("'CP-OLD' since 2029" in problem for problem in problems[:3])
    assert "serial number 'SN-99'" in problems[3]


def test_units_in_the_toml_file_itself() -> None:
    template = TEMPLATE + (
        '[[unit]]\nserial = "SN-1"\nflash_encryption = true\n\n'
        '[[unit]]\nserial_number = "SN-2"\nsecurity_profile = 0\n'
        'authorization_key = { env = "A" }\n'
    )
    orders, problems, warnings = Fleet(
        template, {"WIFI": "correct-horse", "A": "20 characters, plain"}
    ).check()
    assert problems == []
    assert [order.flash_encryption for order in orders] == [True, False]
    assert orders[1].authorization_key == SecretRef("env", "A")
    assert "fleet.toml:17: security_profile: 0 sends no password; for a bench only" in warnings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1\n", "fleet.toml:1: colour: unknown key"),
        ("template = 1\n", "fleet.toml:1: template: must be a table"),
        ('[template]\nmodle = "x"\n', "fleet.toml:2: modle: unknown column"),
        ('[template]\nserial = "x"\nserial_number = "x"\n', "fleet.toml:2: serial: stands there"),
        ("[template]\nvendor = 7\n[[unit]]\n", "fleet.toml:2: vendor: must be a text"),
        ("[variables]\nSite = 1\n", "fleet.toml:2: Site: a name has small letters"),
        ("[variables]\nmodel = 1\n", "fleet.toml:2: model: has a meaning already"),
        ("[variables]\nn = 1\n", "fleet.toml:2: n: has a meaning already"),
        ("[variables]\nx = [1]\n", "fleet.toml:2: x: must be a text or a number"),
        ('shared = ["vendor"]\n', "fleet.toml:1: shared: 'vendor' is none of wifi_passphrase"),
        ("shared = true\n", "fleet.toml:1: shared: must be a list"),
        ('delimiter = "x"\n', "fleet.toml:1: delimiter: must be one of"),
        ("units = 1\n", "fleet.toml:1: units: must be a text"),
        ('units = "u.csv"\n[[unit]]\nserial = "x"\n', "fleet.toml:1: units: names a file, and"),
        ("unit = 3\n", "fleet.toml:1: unit: units are written as [[unit]] tables"),
        ('unit = [{ serial = "x" }]\n', "fleet.toml:1: unit: each unit begins with [[unit]]"),
        ('[[unit]]\ncolor = "red"\n', "fleet.toml:2: color: unknown key"),
        ("[template\n", "fleet.toml:1: not valid TOML"),
        ("a = " + "[" * 100_000, "fleet.toml:1: lists within lists"),
        ('units = "a\\u0000"\n', "fleet.toml:1: units: must be a text"),
        (
            '[template]\nca_certificate = "a\\u0000"\n[[unit]]\n',
            "fleet.toml:2: ca_certificate: must be a file's name",
        ),
        (
            '[template]\nwifi_passphrase = { file = "a\\u0000" }\n[[unit]]\n',
            "fleet.toml:2: wifi_passphrase: a file's name holds no NUL",
        ),
        ("a = 1\na = 2\n", "fleet.toml:2: not valid TOML"),
    ],
)
def test_what_a_toml_file_may_not_say(text: str, said: str) -> None:
    _, problems, _ = Fleet(text).check()
    assert any(problem.startswith(said) for problem in problems), problems


def test_a_toml_file_that_is_not_utf8_is_told_with_its_line() -> None:
    read = read_fleet_toml("f.toml", b'[template]\nvendor = "\xff"\n', "")
    assert str(read.findings[0]) == "f.toml:2: is not UTF-8; save the file as UTF-8"
    assert not read.is_readable


def test_a_long_text_hides_no_lines() -> None:
    text = 'x = """\n[[unit]]\nserial = 1\n"""\n[template]\nvendor = 7\n[[unit]]\nserial = "S"\n'
    _, problems, _ = Fleet(text).check()
    assert "fleet.toml:6: vendor: must be a text, and is a number; put it into quotes" in problems


def test_a_number_that_a_spreadsheet_has_rounded_is_suspicious() -> None:
    _, _, warnings = Fleet().check("serial\n1.23E+11\n")
    assert "'1.23E+11' looks like a long number that a spreadsheet has rounded" in warnings[0]


CELL = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=30),
    st.sampled_from(["generate", "prompt", "env:WIFI", "env:", "file:x", "{n}", "=1", "1E+9"]),
)


@given(st.dictionaries(st.sampled_from(sorted(COLUMNS)), CELL, min_size=1))
def test_no_cells_make_it_fail_and_good_orders_keep_the_rules(cells: dict[str, str]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([list(cells), list(cells.values())])
    orders, problems, _ = Fleet().check(text.getvalue())
    assert len(orders) == 0 if problems else len(orders) == 1
    for order in orders:
        assert order.charge_point.serial_number == cells["serial_number"]
        assert 1 <= len(order.wifi_ssid.encode()) <= 32


@given(st.lists(st.tuples(st.binary(max_size=3), st.integers(1, 2**32 - 1)), max_size=200))
def test_the_first_line_of_each_value_is_remembered(values: list[tuple[bytes, int]]) -> None:
    seen, wanted = SeenValues(b"k"), dict[bytes, int]()
    for value, line in values:
        assert seen.first_line(value, line) == wanted.setdefault(value, line)
    assert len(seen) == len(wanted)


def test_many_values_are_remembered_in_little_memory() -> None:
    seen = SeenValues(b"k")
    for n in range(20_000):
        assert seen.first_line(str(n).encode(), n + 1) == n + 1
    assert all(seen.first_line(str(n).encode(), 0) == n + 1 for n in range(20_000))


def test_a_secret_in_place_of_a_variables_name_is_not_repeated() -> None:
    _, problems, _ = Fleet().check("serial,model,passphrase\nSN-1,M,env:hunter2 hunter2\n")
    assert problems
    assert "hunter2" not in "".join(problems)
