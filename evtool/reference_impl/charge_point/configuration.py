# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration keys that the CSMS reads and changes (OCPP 1.6, paragraph 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.metering import MEASURANDS


class Kind(Enum):
    """What a value may be."""

    INTEGER = "integer"  # 0 to 999 999 999
    COUNT = "count"  # 1 to 999 999 999
    BOOLEAN = "boolean"
    MEASURANDS = "measurands"  # a comma-separated list of those that the charge point has
    TEXT = "text"
    AUTHORIZATION_KEY = "authorization key"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `write_only` ones are never listed."""

    default: str
    kind: Kind
    read_only: bool = False
    write_only: bool = False


_ENERGY_AND_POWER = "Energy.Active.Import.Register,Power.Active.Import"

KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "AllowOfflineTxForUnknownId": Key("false", Kind.BOOLEAN),
        "AuthorizationKey": Key("", Kind.AUTHORIZATION_KEY, write_only=True),
        "AuthorizeRemoteTxRequests": Key("false", Kind.BOOLEAN),
        "ChargeProfileMaxStackLevel": Key("7", Kind.INTEGER, read_only=True),
        "ChargingScheduleAllowedChargingRateUnit": Key("Current", Kind.TEXT, read_only=True),
        "ChargingScheduleMaxPeriods": Key("24", Kind.INTEGER, read_only=True),
        "ClockAlignedDataInterval": Key("0", Kind.INTEGER),
        "ConnectionTimeOut": Key("30", Kind.INTEGER),
        "ConnectorPhaseRotation": Key("0.NotApplicable,1.NotApplicable", Kind.TEXT),
        "Cst_AuthorizationTimeout": Key("20", Kind.INTEGER),
        "GetConfigurationMaxKeys": Key("60", Kind.INTEGER, read_only=True),
        "HeartbeatInterval": Key("86400", Kind.COUNT),
        "LocalAuthorizeOffline": Key("true", Kind.BOOLEAN),
        "LocalPreAuthorize": Key("false", Kind.BOOLEAN),
        "MaxChargingProfilesInstalled": Key("10", Kind.INTEGER, read_only=True),
        "MeterValueSampleInterval": Key("60", Kind.INTEGER),
        "MeterValuesAlignedData": Key(_ENERGY_AND_POWER, Kind.MEASURANDS),
        "MeterValuesAlignedDataMaxLength": Key("8", Kind.INTEGER, read_only=True),
        "MeterValuesSampledData": Key(",".join(MEASURANDS), Kind.MEASURANDS),
        "MeterValuesSampledDataMaxLength": Key("8", Kind.INTEGER, read_only=True),
        "MinimumStatusDuration": Key("0", Kind.INTEGER),
        "NumberOfConnectors": Key("1", Kind.INTEGER, read_only=True),
        "ResetRetries": Key("2", Kind.INTEGER),
        "StopTransactionOnEVSideDisconnect": Key("true", Kind.BOOLEAN),
        "StopTransactionOnInvalidId": Key("true", Kind.BOOLEAN),
        "StopTxnAlignedData": Key("", Kind.MEASURANDS),
        "StopTxnAlignedDataMaxLength": Key("8", Kind.INTEGER, read_only=True),
        "StopTxnSampledData": Key("", Kind.MEASURANDS),
        "StopTxnSampledDataMaxLength": Key("8", Kind.INTEGER, read_only=True),
        "SupportedFeatureProfiles": Key(
            "Core,SmartCharging,RemoteTrigger", Kind.TEXT, read_only=True
        ),
        "TransactionMessageAttempts": Key("3", Kind.COUNT),
        "TransactionMessageRetryInterval": Key("60", Kind.INTEGER),
        "UnlockConnectorOnEVSideDisconnect": Key("false", Kind.BOOLEAN, read_only=True),
    }
)
_BY_LOWER_CASE = MappingProxyType({name.lower(): name for name in KEYS})


class Configuration:
    """The values of `KEYS`; names are compared as CiStrings, without regard to case."""

    def __init__(self, stored: Mapping[str, str]) -> None:
        self._values = {name: key.default for name, key in KEYS.items()}
        for name, value in stored.items():
            # What an older version kept may be unknown or out of range by now.
            if name in KEYS and not KEYS[name].read_only and _allowed(KEYS[name].kind, value):
                self._values[name] = value

    def text(self, name: str) -> str:
        """The value as the wire has it."""
        return self._values[name]

    def integer(self, name: str) -> int:
        """The value of an integer key."""
        return int(self._values[name])

    def boolean(self, name: str) -> bool:
        """The value of a boolean key."""
        return self._values[name] == "true"

    def measurands(self, name: str) -> tuple[str, ...]:
        """The measurands that a list names."""
        return tuple(filter(None, self._values[name].split(",")))

    def set_integer(self, name: str, value: int) -> None:
        """Overrule a value from within: the boot interval becomes HeartbeatInterval."""
        self._values[name] = str(value)

    def change(self, name: str, value: str) -> tuple[str, str | None]:
        """Change a key for the CSMS.

        Returns:
            The status of ChangeConfiguration.conf, and the key's own spelling if it changed.
        """
        known = _BY_LOWER_CASE.get(name.lower())
        if known is None:
            return "NotSupported", None
        key = KEYS[known]
        if key.kind is Kind.BOOLEAN:
            value = value.lower()
        if key.read_only or not _allowed(key.kind, value):
            return "Rejected", None
        self._values[known] = value
        return "Accepted", known

    def describe(self, names: list[str] | None) -> ocpp16.Payload:
        """The payload of GetConfiguration.conf; no names stand for all."""
        if not names:
            names = [name for name, key in KEYS.items() if not key.write_only]
        entries, unknown = [], []
        for name in names:
            known = _BY_LOWER_CASE.get(name.lower())
            if known is None or KEYS[known].write_only:
                unknown.append(name)
                continue
            entries.append(
                {"key": known, "readonly": KEYS[known].read_only, "value": self._values[known]}
            )
        answer: ocpp16.Payload = {"configurationKey": entries}
        return answer | ({"unknownKey": unknown} if unknown else {})


def _is_integer(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 9


def _is_authorization_key(value: str) -> bool:
    try:
        ocpp16.decode_authorization_key(value)
    except ValueError:
        return False
    return True


_RULES: Mapping[Kind, Callable[[str], bool]] = MappingProxyType(
    {
        Kind.INTEGER: _is_integer,
        Kind.COUNT: lambda value: _is_integer(value) and int(value) >= 1,
        Kind.BOOLEAN: lambda value: value in ("true", "false"),
        Kind.MEASURANDS: lambda value: (
            value == "" or all(name in MEASURANDS for name in value.split(","))
        ),
        Kind.AUTHORIZATION_KEY: _is_authorization_key,
        Kind.TEXT: lambda _: True,
    }
)


def _allowed(kind: Kind, value: str) -> bool:
    return _RULES[kind](value)
