# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in a fleet's file: the CSMS's root, and the units' own with their keys."""

from __future__ import annotations

from certificates import Authority
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from fleet_files import NOW, TEMPLATE, Fleet

from evtool.cli.fleet_input import UnseenSecrets


def client_files() -> dict[str, bytes]:
    authority = Authority(NOW, days=3650)
    stranger = Authority(NOW, days=3650, name="Stranger")
    issued = authority.issue("SN-1", NOW, days=365)
    other = authority.issue("SN-1", NOW, days=365)

    def pem(key: object) -> bytes:
        assert hasattr(key, "private_bytes")
        made = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert isinstance(made, bytes)
        return made

    return {
        "unit.pem": issued.pem() + authority.root.pem(),
        "wrong-order.pem": issued.pem() + stranger.root.pem(),
        "unit.key": pem(issued.key),
        "other.key": pem(other.key),
        "root.pem": authority.root.pem(),
        "leaf.pem": issued.pem(),
        "none.pem": b"nothing",
    }


MUTUAL = (
    TEMPLATE.replace("ws://", "wss://")
    + """
security_profile = 3
ca_certificate = "root.pem"
"""
)


def test_client_certificates_match_their_keys_and_chains() -> None:
    files = client_files()
    secrets = {"WIFI": "correct-horse"} | {
        name: data.decode() for name, data in files.items() if name.endswith(".key")
    }
    fleet = Fleet(MUTUAL, secrets=secrets, files=files)
    head = "serial,client_certificate,client_key\n"
    [order], problems, _ = fleet.check(head + "SN-1,unit.pem,file:unit.key\n")
    assert problems == []
    assert order.client_certificate == files["unit.pem"]
    for row, said in (
        ("SN-1,unit.pem,file:other.key", "the private key is another one's"),
        ("SN-1,wrong-order.pem,file:unit.key", "was not issued by Stranger, which stands behind"),
        ("SN-1,unit.pem,", "client_key: missing: the private key of client_certificate"),
        ("SN-2,unit.pem,file:unit.key", "neither the identity 'CP-SN-2' nor the serial number"),
        ("SN-1,unit.key,file:unit.key", "the file holds a private key"),
        ("SN-1,none.pem,file:unit.key", "it: no PEM certificate"),
    ):
        orders, problems, _ = fleet.check(head + row + "\n")
        assert orders == []
        assert said in problems[0]
        assert "PRIVATE" not in "".join(problems)


class Unseen(Fleet):
    look = UnseenSecrets.look


def test_who_only_wants_to_know_the_units_looks_at_no_key() -> None:
    files = client_files()
    head = "serial,client_certificate,client_key\n"
    fleet = Unseen(MUTUAL, files=files)
    orders, problems, _ = fleet.check(head + "SN-1,unit.pem,file:unit.key\n")
    assert ([order.identity for order in orders], problems) == (["CP-SN-1"], [])
    for row, said in (
        ("SN-1,unit.pem,", "client_key: missing: the private key"),
        ("SN-1,wrong-order.pem,file:unit.key", "was not issued by Stranger"),
    ):
        _, problems, _ = fleet.check(head + row + "\n")
        assert said in problems[0]


def test_two_units_may_not_have_one_client_key() -> None:
    files = client_files()
    secrets = {"WIFI": "correct-horse", "unit.key": files["unit.key"].decode()}
    secrets["same.key"] = (
        load_pem_private_key(files["unit.key"], None)
        .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        .decode()
    )
    rows = "CP-1,SN-1,leaf.pem,file:unit.key\nSN-1,SN-2,leaf.pem,file:same.key\n"
    _, problems, _ = Fleet(MUTUAL, secrets=secrets, files=files).check(
        "identity,serial,client_certificate,client_key\n" + rows
    )
    assert [problem.split(": ")[:2] for problem in problems] == [["f.csv:3", "client_key"]]


def test_the_csmss_root_is_judged_once_for_all_units() -> None:
    files = {"root.pem": Authority(NOW, days=30).root.pem()}
    template = TEMPLATE.replace("ws://", "wss://") + 'ca_certificate = "root.pem"\n'
    template += "security_profile = 2\n"
    orders, problems, warnings = Fleet(template, files=files).check("serial\nSN-1\nSN-2\n")
    assert (len(orders), problems) == (2, [])
    assert orders[0].ca_certificate is orders[1].ca_certificate
    assert len(warnings) == 1
    assert "ca_certificate: expires on 2030-01-31" in warnings[0]
