# SPDX-License-Identifier: GPL-3.0-or-later
"""How a charge point behaves where the specification leaves it open, or a library departs from it.

`STRICT` follows OCPP 1.6 edition 2, its errata and the security whitepaper. `MICROOCPP_1_2_0`
does what that library does on the wire, so that a difference from a device that runs it means a
defect. What the library does wrongly and nobody may rely on (crashes, deleted transactions, a
flood of Heartbeats) no mode copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from evtool.reference_impl.charge_point.smart_charging.rules import (
    MICROOCPP_RULES,
    STRICT_RULES,
    Rules,
)
from evtool.reference_impl.charge_point.update_rules import (
    MICROOCPP_UPDATE,
    STRICT_UPDATE,
    UpdateRules,
)


@dataclass(frozen=True, slots=True)
class Mode:
    """The decisions; a default is the strict one.

    Attributes:
        name: as on the command line.
        authorizes_listed: D1, Authorize is sent for a tag that LocalPreAuthorize has let in; an
            answer that is not Accepted ends the transaction.
        has_cache: D2, there is an authorization cache; without one ClearCache is Accepted all
            the same.
        cache_entries: tags that the cache holds at most; the one not heard of for longest goes.
        keeps_cache: the cache outlives a restart.
        asks_without_cache: where Authorize was sent and gets no answer, the cache lets nobody in:
            whom it knows as accepted counts as unknown.
        clears_unused_cache: ClearCache is Accepted while AuthorizationCacheEnabled is false, too:
            what the cache holds is cleared, so the command has been executed (OCPP 1.6, 7.22).
        stops_refused_start: D5, a transaction whose StartTransaction the CSMS never took still
            has its end told; else its messages are dropped and it ends.
        omits_transaction_id_zero: D12, MeterValues without a transactionId that is not positive.
        absent_keys: D17 and others, keys of the specification that the library does not know.
        smart_charging: D26, D27, D28, D41: profiles and composite schedules.
        update: D21, D22, D23, D39: firmware updates and uploads.
        has_security: the security extensions; else their operations are NotImplemented.
        resumes_transactions: D30, a transaction goes on after a power cut where the plug is seen
            at once, and ends with EVDisconnected where it is not; else it ends with PowerLoss.
        schedules_in_preparing: D32, Inoperative waits for the end of a session that has no
            transaction yet.
        unavailable_until_accepted: a connector is Unavailable until the CSMS has accepted the
            BootNotification (a triggered StatusNotification can show it).
        hides_faulted_use: ChangeAvailability is Accepted, not Scheduled, in a transaction whose
            connector is Faulted, or Unavailable until the CSMS accepts: it goes on all the same.
        stops_unregistered: RemoteStopTransaction counts before the BootNotification is accepted,
            too.
        silent_in_rejected: OCPP 1.6, 4.2: no message at all while the registration is Rejected.
        starts_on_connector_zero: RemoteStartTransaction with connectorId 0 takes the first free
            connector; else it is Rejected.
        unknown_connector: what a connectorId beyond the last earns: a CallError of this code, or
            "" for the operation's own refusing status.
        too_long: what a text beyond its length earns.
        answers_unreadable: a text that is no message earns a CallError under the id "-1".
        awaits_start: while StartTransaction is under way, a RemoteStopTransaction of an unknown
            id is answered after its answer has come, and another card is asked for: either may
            concern what the CSMS has answered already.
        put_off_ms: so long a RemoteStopTransaction, or a SetChargingProfile with a transactionId,
            waits for the id of the transaction that runs, one at a time; 0 where `awaits_start`
            says how long.
        starts_when_faulted: a faulted connector takes a card; its transaction begins when the fault
            is over.
        data_transfer_status: the answer to a vendor that nobody knows.
        reset_delay_ms: between the answer to Reset and the restart.
        boot_retry_s: the pause after a BootNotification without a usable answer.
        max_transactions: transactions with messages that wait for the CSMS; a further one is
            refused.
        max_meter_values: MeterValues of one transaction that wait for the CSMS.
        keeps_meter_values: those that wait outlive a restart.
        thins_meter_values: of too many of them every second goes; else the oldest does.
        max_records: sampled values in the transactionData of one StopTransaction.
        periodic_records: transactionData holds periodic samples between begin and end.
        late_clock_ms: the time of a clock-aligned value that fell outside of a transaction is
            remembered: one that begins so soon after it sends that value late. 0: none is.
        samples_keep_grid: periodic samples keep the grid of the transaction's start, whatever the
            interval becomes; else each counts from the one before.
        samples_outside: clock-aligned MeterValues are sent without a transaction too.
        zero_reservation_shows: D25, connectors that a reservation of connector 0 needs are
            Reserved, and one that no free connector is left for is refused.
        fixed_keys: keys that the CSMS may change by the specification, and here may not.
        transaction_before_status: the status that the start or the end of a transaction brings
            is told behind its StartTransaction or StopTransaction.
        heartbeat_from_start: the first HeartbeatInterval is counted from the start of the
            charge point; else from its registration.
        waits_out_closed: D36, a call that was under way when the connection closed still waits
            for its answer until its time is over, and nothing else is sent; only a status is
            told again as soon as the connection is back.
        counts_unanswered: an attempt to tell a transaction's message that gets no answer counts
            as a refused one, and pauses are counted from the moment of sending.
        keeps_attempts: the number and the time of the attempts to tell a transaction's start or end
            outlive a restart, and one counts as soon as it is sent.
        refusals_unanswered: actions whose CallError counts as no answer (D4, D42).
        identifies_inoperative: a card is heard while the connector is out of use; its
            transaction begins when the connector is in use again.
        asks_against_reservation: the CSMS is asked about a tag that has not reserved, too; only
            its word on the parent decides.
        takes_turns: everything happens in turns, each of them new inputs: one message at most, an
            answer before a call, and then all else. What is heard between two turns is taken at
            once, and what follows from it waits for the next one.
        triggered_behind: what the CSMS has triggered goes behind statuses, Authorize and
            Heartbeat, once the charge point is registered.
        triggers_tell_now: a status that was asked for carries the time of the question; else
            the time of its change.
        unknown_where_list_is_off: without LocalAuthorizeOffline a listed tag counts as an unknown
            one while the CSMS is away; else it is refused.
        times_status_alone: the timestamp of a StatusNotification is that of the status, also where
            only its error has changed.
        expires_in_queue: Authorize, Heartbeat and what was triggered have their time limit from
            the moment they arise, also while they wait for another call; a Heartbeat arises
            offline too.
        triggered_limits_ms: these time limits, by action; 40 s for the others.
        whole_seconds: times are whole seconds of the CSMS's clock, so that ConnectionTimeOut and
            the pause before a transaction's start or end is told again are over up to a second
            early.
        whole_waits: connector 0 is Unavailable only once no transaction runs any more.
        lost_vehicle_is_power_loss: a transaction that a power cut interrupted, and whose vehicle
            has gone since, ends with PowerLoss; else with EVDisconnected.
        reports_cleared_errors: D38, an error that was not Faulted is told to be over.
        defaults: values of keys that differ from the standard ones.
    """

    name: str
    authorizes_listed: bool = False
    has_cache: bool = True
    cache_entries: int = 100
    keeps_cache: bool = True
    asks_without_cache: bool = False
    clears_unused_cache: bool = False
    stops_refused_start: bool = True
    omits_transaction_id_zero: bool = False
    absent_keys: frozenset[str] = frozenset()
    smart_charging: Rules = STRICT_RULES
    update: UpdateRules = STRICT_UPDATE
    has_security: bool = True
    resumes_transactions: bool = False
    schedules_in_preparing: bool = True
    unavailable_until_accepted: bool = False
    hides_faulted_use: bool = False
    stops_unregistered: bool = False
    silent_in_rejected: bool = True
    starts_on_connector_zero: bool = False
    unknown_connector: str = ""
    too_long: str = "FormationViolation"
    answers_unreadable: bool = True
    awaits_start: bool = True
    put_off_ms: int = 0
    starts_when_faulted: bool = False
    data_transfer_status: str = "UnknownVendorId"
    reset_delay_ms: int = 10_000
    boot_retry_s: int = 10
    max_transactions: int = 100
    max_meter_values: int = 200
    keeps_meter_values: bool = True
    thins_meter_values: bool = True
    max_records: int = 60
    periodic_records: bool = True
    late_clock_ms: int = 0
    samples_keep_grid: bool = True
    samples_outside: bool = True
    zero_reservation_shows: bool = True
    fixed_keys: frozenset[str] = frozenset()
    transaction_before_status: bool = False
    heartbeat_from_start: bool = False
    waits_out_closed: bool = False
    counts_unanswered: bool = False
    keeps_attempts: bool = False
    refusals_unanswered: frozenset[str] = frozenset()
    identifies_inoperative: bool = False
    asks_against_reservation: bool = False
    takes_turns: bool = False
    triggered_behind: bool = False
    triggers_tell_now: bool = False
    unknown_where_list_is_off: bool = False
    times_status_alone: bool = False
    expires_in_queue: bool = False
    triggered_limits_ms: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    whole_seconds: bool = False
    whole_waits: bool = False
    lost_vehicle_is_power_loss: bool = False
    reports_cleared_errors: bool = True
    defaults: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Mode], tuple[dict[str, Any]]]:
        """For other processes: a mappingproxy cannot be pickled."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        plain: dict[str, Any] = {
            name: dict(value) if isinstance(value, MappingProxyType) else value
            for name, value in values.items()
        }
        return _restored, (plain,)


def _restored(values: dict[str, Any]) -> Mode:
    frozen: dict[str, Any] = {
        name: MappingProxyType(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return Mode(**frozen)


STRICT = Mode("strict")

_SECURITY_KEYS = frozenset(
    {
        "AdditionalRootCertificateCheck",
        "CertificateSignedMaxChainSize",
        "CertificateStoreMaxLength",
        "CpoName",
        "DisableSecurityEventNotifications",
        "SecurityProfile",
    }
)

MICROOCPP_1_2_0 = Mode(
    "microocpp",
    authorizes_listed=True,
    has_cache=False,
    stops_refused_start=False,
    omits_transaction_id_zero=True,
    absent_keys=_SECURITY_KEYS
    | {
        "AuthorizationCacheEnabled",
        "BlinkRepeat",
        "ConnectorPhaseRotation",
        "ConnectorPhaseRotationMaxLength",
        "ConnectorSwitch3to1PhaseSupported",
        "LightIntensity",
        "MaxEnergyOnInvalidId",
        "StopTxnAlignedDataMaxLength",
        "SupportedFeatureProfilesMaxLength",
        "SupportedFileTransferProtocols",
        "WebSocketPingInterval",
    },
    smart_charging=MICROOCPP_RULES,
    update=MICROOCPP_UPDATE,
    has_security=False,
    resumes_transactions=True,
    schedules_in_preparing=False,
    unavailable_until_accepted=True,
    hides_faulted_use=True,
    stops_unregistered=True,
    silent_in_rejected=False,
    starts_on_connector_zero=True,
    unknown_connector="PropertyConstraintViolation",
    too_long="PropertyConstraintViolation",
    answers_unreadable=False,
    awaits_start=False,
    starts_when_faulted=True,
    data_transfer_status="Rejected",
    boot_retry_s=60,
    max_transactions=4,
    max_meter_values=10,
    thins_meter_values=False,
    max_records=4,
    periodic_records=False,
    late_clock_ms=60_000,
    samples_keep_grid=False,
    samples_outside=False,
    zero_reservation_shows=False,
    fixed_keys=frozenset({"UnlockConnectorOnEVSideDisconnect"}),
    transaction_before_status=True,
    heartbeat_from_start=True,
    waits_out_closed=True,
    counts_unanswered=True,
    keeps_attempts=True,
    identifies_inoperative=True,
    asks_against_reservation=True,
    triggered_behind=True,
    triggers_tell_now=True,
    unknown_where_list_is_off=True,
    times_status_alone=True,
    expires_in_queue=True,
    triggered_limits_ms=MappingProxyType({"MeterValues": 120_000, "StatusNotification": 60_000}),
    whole_seconds=True,
    whole_waits=True,
    reports_cleared_errors=False,
    defaults=MappingProxyType(
        {
            "ChargeProfileMaxStackLevel": "8",
            "GetConfigurationMaxKeys": "30",
            "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import",
            "LocalAuthListMaxLength": "48",
            "SendLocalListMaxLength": "48",
            "UnlockConnectorOnEVSideDisconnect": "false",
        }
    ),
)

MODES: Mapping[str, Mode] = MappingProxyType(
    {mode.name: mode for mode in (STRICT, MICROOCPP_1_2_0)}
)
