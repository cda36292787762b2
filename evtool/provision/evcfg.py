# SPDX-License-Identifier: GPL-3.0-or-later
"""What provisioning writes: the NVS partition `evcfg`, as `firmware/lib/evidentity` reads it.

Namespace `evcfg`, schema 1. The identity's keys, then the settings of the controller that
belong to the unit it is built into (pack and power module), as evtool.toml has them.
"""

from __future__ import annotations

from evtool.errors import ConfigError
from evtool.project import Can, Limits
from evtool.protocol.nvs import NvsEntry, NvsKind, render_image
from evtool.protocol.partition_table import DATA, FLAGS, SUBTYPES, Partition, find
from evtool.provision.identity import Identity

PARTITION = "evcfg"
NAMESPACE = "evcfg"
SCHEMA = 1
_NVS = SUBTYPES[DATA]["nvs"]


def evcfg_entries(identity: Identity, can: Can, limits: Limits) -> list[NvsEntry]:
    """The keys, secrets among them."""
    charge_point = identity.charge_point
    texts = {
        "cp_id": charge_point.identity,
        "vendor": charge_point.vendor,
        "model": charge_point.model,
        "serial": charge_point.serial_number,
        "csms_url": identity.csms_url,
        "auth_key": identity.authorization_key.reveal(),
        "wifi_ssid": identity.wifi_ssid,
        "wifi_pass": identity.wifi_passphrase.reveal(),
        "id_tag": charge_point.local_id_tag,
    }
    if identity.ca_certificate is not None:
        texts["ca_cert"] = identity.ca_certificate.pem
    if identity.client is not None:
        texts["client_cert"] = identity.client.pem
        texts["client_key"] = identity.client.key.reveal()
    small = {
        "schema": SCHEMA,
        "sec_profile": identity.security_profile,
        "can_buses": can.buses,
        "cap_source": int(can.capacity_source == "charged_minus_discharged"),
        "i_scale": int(can.module_current_scale == "1/10"),
        "t_scale": int(can.module_temperature_scale == "deci"),
    }
    amounts = {
        "battery_mah": can.battery_capacity_mah,
        "req_min_mv": limits.request_min_mv,
        "req_max_mv": limits.request_max_mv,
        "req_max_ma": limits.request_max_ma,
        "max_mv": limits.max_voltage_mv,
        "max_ma": limits.max_current_ma,
    }

    def entries(kind: NvsKind, values: dict[str, int] | dict[str, str]) -> list[NvsEntry]:
        return [NvsEntry(NAMESPACE, key, kind, value) for key, value in values.items()]

    return entries("u8", small) + entries("str", texts) + entries("u32", amounts)


def find_evcfg(partitions: tuple[Partition, ...], source: str) -> Partition:
    """The partition for the identity.

    Args:
        partitions: the table.
        source: where the table was found, for the message.

    Raises:
        ConfigError: there is none, or it is no NVS partition.
    """
    partition = find(partitions, PARTITION)
    if partition is None:
        names = ", ".join(each.name for each in partitions) or "none"
        raise ConfigError(
            f"{source} has no partition {PARTITION!r} (it has: {names})",
            fix="flash evtool's firmware first: `evtool build`, then `evtool flash`",
        )
    if (partition.type, partition.subtype) != (DATA, _NVS):
        raise ConfigError(
            f"{source}: partition {PARTITION!r} is {partition.type_name}/"
            f"{partition.subtype_name}, not data/nvs",
            fix="give it type data, subtype nvs in partitions.csv, then build and flash again",
        )
    return partition


def evcfg_image(entries: list[NvsEntry], partition: Partition) -> bytes:
    """The whole partition, so that nothing of an earlier identity stays readable in it.

    Raises:
        ConfigError: the entries do not fit.
    """
    try:
        return render_image(
            entries, partition.size, read_only=bool(partition.flags & FLAGS["readonly"])
        )
    except ValueError as error:
        raise ConfigError(
            f"partition {partition.name!r} ({partition.size} bytes): {error}",
            fix="make the partition larger, or the certificates shorter",
        ) from error
