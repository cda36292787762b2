# SPDX-License-Identifier: GPL-3.0-or-later
"""Every configuration key: its default, what its value may be, who may change it.

Sources: OCPP 1.6 edition 2, paragraph 9; security whitepaper edition 2, appendix "Configuration
keys". Names that start with `Cst_` are MicroOcpp's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from evtool.reference_impl.charge_point.metering import MEASURANDS


class Kind(Enum):
    """What a value may be."""

    INTEGER = "integer"
    BOOLEAN = "boolean"
    MEASURANDS = "measurands"  # a comma-separated list of those that the charge point has
    PHASE_ROTATION = "phase rotation"  # 0.RST,1.RST and so on
    TEXT = "text"
    AUTHORIZATION_KEY = "authorization key"


LARGEST = 999_999_999
MAX_VALUE = 500
"""The longest value on the wire (ChangeConfiguration.req, CiString500Type)."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        minimum, maximum: of an integer; of a text its longest length is `maximum`.
        read_only: the CSMS cannot change it; a preset can.
        write_only: never listed.
        profile: the feature profile without which there is no such key; "" for Core.
        restarts: a change takes effect at the next start (RebootRequired).
    """

    default: str
    kind: Kind
    minimum: int = 0
    maximum: int = LARGEST
    read_only: bool = False
    write_only: bool = False
    profile: str = ""
    restarts: bool = False


PROFILES = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "SmartCharging",
    "RemoteTrigger",
)
_ENERGY_AND_POWER = "Energy.Active.Import.Register,Power.Active.Import"


def _fixed(default: str, kind: Kind = Kind.INTEGER, profile: str = "") -> Key:
    return Key(default, kind, read_only=True, profile=profile)


def _boolean(default: str) -> Key:
    return Key(default, Kind.BOOLEAN)


def _integer(default: str, minimum: int = 0, maximum: int = LARGEST) -> Key:
    return Key(default, Kind.INTEGER, minimum, maximum)


def _measurands(default: str) -> Key:
    return Key(default, Kind.MEASURANDS)


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "AdditionalRootCertificateCheck": _fixed("false", Kind.BOOLEAN),
        "AllowOfflineTxForUnknownId": _boolean("false"),
        "AuthorizationCacheEnabled": _boolean("true"),
        "AuthorizationKey": Key("", Kind.AUTHORIZATION_KEY, write_only=True),
        "AuthorizeRemoteTxRequests": _boolean("false"),
        "BlinkRepeat": _integer("0"),
        "CertificateSignedMaxChainSize": _fixed("10000"),
        "CertificateStoreMaxLength": _fixed("20"),
        "ChargeProfileMaxStackLevel": _fixed("7", profile="SmartCharging"),
        "ChargingScheduleAllowedChargingRateUnit": _fixed("Current", Kind.TEXT, "SmartCharging"),
        "ChargingScheduleMaxPeriods": _fixed("24", profile="SmartCharging"),
        "ClockAlignedDataInterval": _integer("0", maximum=86_400),
        "ConnectionTimeOut": _integer("30"),
        "ConnectorPhaseRotation": Key("NotApplicable", Kind.PHASE_ROTATION),
        "ConnectorPhaseRotationMaxLength": _fixed("100"),
        "ConnectorSwitch3to1PhaseSupported": _fixed("false", Kind.BOOLEAN, "SmartCharging"),
        "CpoName": Key("", Kind.TEXT, maximum=MAX_VALUE),
        "Cst_AuthorizationTimeout": _integer("20", minimum=1),
        "DisableSecurityEventNotifications": _boolean("false"),
        "GetConfigurationMaxKeys": _fixed("100"),
        "HeartbeatInterval": _integer("86400", minimum=1),
        "LightIntensity": _integer("100", maximum=100),
        "LocalAuthListEnabled": Key("true", Kind.BOOLEAN, profile="LocalAuthListManagement"),
        "LocalAuthListMaxLength": _fixed("1000", profile="LocalAuthListManagement"),
        "LocalAuthorizeOffline": _boolean("true"),
        "LocalPreAuthorize": _boolean("false"),
        "MaxChargingProfilesInstalled": _fixed("10", profile="SmartCharging"),
        "MaxEnergyOnInvalidId": _integer("0"),
        "MeterValueSampleInterval": _integer("60"),
        "MeterValuesAlignedData": _measurands(_ENERGY_AND_POWER),
        "MeterValuesAlignedDataMaxLength": _fixed("8"),
        "MeterValuesSampledData": _measurands(",".join(MEASURANDS)),
        "MeterValuesSampledDataMaxLength": _fixed("8"),
        "MinimumStatusDuration": _integer("0"),
        "NumberOfConnectors": _fixed("1"),
        "ReserveConnectorZeroSupported": _fixed("true", Kind.BOOLEAN, "Reservation"),
        "ResetRetries": _integer("2"),
        "SecurityProfile": _integer("0", maximum=3),
        "SendLocalListMaxLength": _fixed("1000", profile="LocalAuthListManagement"),
        "StopTransactionOnEVSideDisconnect": _boolean("true"),
        "StopTransactionOnInvalidId": _boolean("true"),
        "StopTxnAlignedData": _measurands(""),
        "StopTxnAlignedDataMaxLength": _fixed("8"),
        "StopTxnSampledData": _measurands(""),
        "StopTxnSampledDataMaxLength": _fixed("8"),
        "SupportedFeatureProfiles": _fixed(",".join(PROFILES), Kind.TEXT),
        "SupportedFeatureProfilesMaxLength": _fixed("6"),
        "SupportedFileTransferProtocols": _fixed(
            "FTP,FTPS,HTTP,HTTPS", Kind.TEXT, "FirmwareManagement"
        ),
        "TransactionMessageAttempts": _integer("3", minimum=1),
        "TransactionMessageRetryInterval": _integer("60"),
        "UnlockConnectorOnEVSideDisconnect": _boolean("true"),
        "WebSocketPingInterval": _integer("60"),
    }
)
BY_LOWER_CASE = MappingProxyType({name.lower(): name for name in KEYS})
