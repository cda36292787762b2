# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet from its CSV file to encrypted images: checked, keys generated and sealed, images made.

The code of `fleet check`, `secrets generate` and a run, against a ledger in SQLite: every unit
is looked up in it, every key is sealed in it, every image has NVS keys of its own and is sealed
as a rollback needs it. Each step checks all rows again, as its command does. Each number of
units in a process of its own, so that its peak of memory is its own; CPU time of the process.
"""

from __future__ import annotations

import json
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from certificates import Authority

from evtool.cli.fleet_input import FleetInput, open_fleet
from evtool.cli.provision_fleet_check import LedgerHolders
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.link.nvs_files import new_keys
from evtool.link.secret_source import SecretSource, generate_key
from evtool.project import Can, Limits, Secret, SecretRef
from evtool.protocol.nvs_encryption import encrypt_image
from evtool.protocol.partition_table import DATA, SUBTYPES, Partition
from evtool.provision.evcfg import evcfg_entries, evcfg_image
from evtool.provision.fleet.order import UnitOrder, resolve
from evtool.provision.secrets.sealed_store import SealedStore, open_store
from evtool.provision.secrets.sealing import NONCE_SIZE, seal, unseal
from evtool.provision.secrets.unit_secrets import UnitSecretStore

NOW = datetime.now(UTC)
SIZES = (1_000, 10_000)
CAN = Can(250_000, 1, "remaining", 30_000, "1/1024", "milli")
LIMITS = Limits(56_000, 85_500, 300_000, 85_500, 100_000)
EVCFG = Partition("evcfg", DATA, SUBTYPES[DATA]["nvs"], 0x390000, 0x6000, 0)
TEMPLATE = """
shared = ["wifi_passphrase"]
[template]
identity = "CP-{serial}"
vendor = "Example"
model = "EV-CAN-1"
wifi_ssid = "site-{site}"
wifi_passphrase = { file = "site.txt" }
csms_url = "wss://csms.example/ocpp"
authorization_key = { generate = true }
security_profile = 2
ca_certificate = "root.pem"
"""


def prepare(folder: Path, units: int) -> FleetInput:
    """A template, a CSV file, a root certificate and a passphrase."""
    (folder / "fleet.toml").write_text('units = "units.csv"\n' + TEMPLATE)
    (folder / "root.pem").write_bytes(Authority(NOW, days=3650).root.pem())
    (folder / "site.txt").write_text("correct-horse-battery\n")
    (folder / "site.txt").chmod(0o600)
    with (folder / "units.csv").open("w") as stream:
        stream.write("serial,site,mac\n")
        for n in range(units):
            mac = (0x246F28000000 + n).to_bytes(6).hex(":")
            stream.write(f"SN-{n:07},{n % 50},{mac}\n")
    return open_fleet(folder / "fleet.toml", project=None)


def checked(fleet: FleetInput, store: UnitSecretStore, ledger: SqlLedger) -> Iterator[UnitOrder]:
    """The orders of a fleet that is good."""
    for found in fleet.checked(store, NOW, LedgerHolders(ledger)):
        assert isinstance(found, UnitOrder), found
        yield found


def measure(folder: Path, units: int) -> dict[str, float]:
    """CPU seconds of each step, and the peak of memory in MiB."""
    fleet = prepare(folder, units)
    figures: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        figures[name] = time.process_time() - began

    with closing(open_ledger(folder / "ledger.db", "bench")) as ledger:
        sealed = open_store(ledger, Secret(secrets.token_hex(32)), secrets.token_bytes)
        store = UnitSecretStore(SecretSource(folder, create=False), sealed, generate_key)
        with step("check"):
            assert sum(1 for _ in checked(fleet, store, ledger)) == units
        with step("check, generate and seal"):
            for orders in chunks(checked(fleet, store, ledger)):
                wanted = [each for order in orders for each in order.wanted_secrets()]
                assert store.make_all(wanted) == len(orders)
        with step("check and encrypt images"):
            for orders in chunks(checked(fleet, store, ledger)):
                store.prepare(each for order in orders for each in order.wanted_secrets())
                for order in orders:
                    make_image(order, store, sealed)
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def chunks(orders: Iterator[UnitOrder]) -> Iterator[list[UnitOrder]]:
    """Some at a time, as the commands take them."""
    while chunk := list(islice(orders, 100)):
        yield chunk


@dataclass(frozen=True, slots=True)
class Looked:
    """The secrets that are sealed already."""

    store: UnitSecretStore

    def resolve(self, unit: str, name: str, ref: SecretRef) -> Secret:
        secret = self.store.look(unit, name, ref)
        assert secret is not None
        return secret


def make_image(order: UnitOrder, store: UnitSecretStore, sealed: SealedStore) -> None:
    """The unit's partition with NVS keys of its own, sealed, and opened again."""
    identity = resolve(order, Looked(store), NOW)
    plain = evcfg_image(evcfg_entries(identity, CAN, LIMITS), EVCFG)
    image = encrypt_image(plain, new_keys())
    name = f"image/{order.identity}"
    data = seal(image, name, sealed.sealing(), secrets.token_bytes(NONCE_SIZE))
    assert unseal(data, name, sealed.keys) == image


def main() -> None:
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(json.dumps(measure(Path(folder), int(sys.argv[1]))))
        return
    for units in SIZES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.provision_units", str(units)],
            check=True,
            capture_output=True,
            text=True,
        )
        figures = json.loads(done.stdout)
        peak = figures.pop("peak_mib")
        total = sum(figures.values())
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in figures.items())
        line = f"{units:>6,} units: {steps}; {total:.1f} s of CPU; peak {peak:.0f} MiB"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
