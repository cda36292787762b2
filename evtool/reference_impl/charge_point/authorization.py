# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody may charge: local list, then cache, then the CSMS, then the offline rules.

Sources: OCPP 1.6 edition 2, 3.5 (local authorization and offline behaviour), 4.1 (Authorize).
The list comes before the cache: a tag that it names is not looked up in the cache, and not
remembered there.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.authorization_cache import KEY as CACHE_KEY
from evtool.reference_impl.charge_point.authorization_cache import AuthorizationCache
from evtool.reference_impl.charge_point.id_tag_info import IdTagInfo, read_info
from evtool.reference_impl.charge_point.local_list import KEY as LIST_KEY
from evtool.reference_impl.charge_point.local_list import LocalList

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint


class Verdict(Enum):
    """What follows from what is known here."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    ASK = "ask the CSMS"


class Authorization:
    """The local list, the cache, and what they decide.

    Args:
        charge_point: whose configuration, clock and connection count.
    """

    __slots__ = ("_charge_point", "cache", "local_list")

    def __init__(self, charge_point: ChargePoint) -> None:
        stored = charge_point.settings.stored
        self._charge_point = charge_point
        self.local_list = LocalList(stored.get(LIST_KEY, ""))
        mode = charge_point.mode
        kept = stored.get(CACHE_KEY, "") if mode.keeps_cache else ""
        self.cache = AuthorizationCache(mode.cache_entries, kept)

    def known(self, id_tag: str) -> IdTagInfo | None:
        """What list and cache say of a tag, as far as they are enabled."""
        if self.has_list():
            listed = self.local_list.find(id_tag)
            if listed is not None:
                return listed
        return self.cache.find(id_tag) if self.has_cache() else None

    def parent_of(self, id_tag: str) -> str:
        """The parent of a tag, "" where it has none or it is not known."""
        known = self.known(id_tag)
        return known.parent_id_tag if known is not None else ""

    def judge(self, id_tag: str) -> Verdict:
        """Whether a tag may charge, or the CSMS is to be asked."""
        charge_point = self._charge_point
        # Who may identify before the registration waits for it.
        may_ask = charge_point.registered or charge_point.mode.identifies_inoperative
        if not (charge_point.open and may_ask):
            return self.judge_offline(id_tag)
        known = self.known(id_tag)
        if (
            known is not None
            and known.is_accepted(charge_point.unix_now())
            and charge_point.configuration.boolean("LocalPreAuthorize")
        ):
            return Verdict.ACCEPT
        return Verdict.ASK

    def judge_offline(self, id_tag: str, *, asked: bool = False) -> Verdict:
        """Whether a tag may charge while the CSMS cannot be asked, or where it was asked and did
        not answer."""
        configuration, mode = self._charge_point.configuration, self._charge_point.mode
        known = self.known(id_tag)
        accepted = known is not None and known.is_accepted(self._charge_point.unix_now())
        if asked and accepted and mode.asks_without_cache and not self._is_listed(id_tag):
            known, accepted = None, False
        listed = accepted and configuration.boolean("LocalAuthorizeOffline")
        if known is None or (accepted and mode.unknown_where_list_is_off):
            allowed = listed or configuration.boolean("AllowOfflineTxForUnknownId")
        else:
            allowed = listed
        return Verdict.ACCEPT if allowed else Verdict.REFUSE

    def learn(self, id_tag: str, info: ocpp16.Payload | None) -> None:
        """Take what an answer of the CSMS says of a tag."""
        if info is None or not id_tag or not self.has_cache():
            return
        if self._is_listed(id_tag):
            return
        self.cache.put(id_tag, read_info(info))
        if self._charge_point.mode.keeps_cache:
            self._charge_point.persist(CACHE_KEY, self.cache.render())

    def _is_listed(self, id_tag: str) -> bool:
        return self.has_list() and self.local_list.find(id_tag) is not None

    def contradicts_list(self, id_tag: str, info: ocpp16.Payload | None) -> bool:
        """Whether an answer says of a tag what the local list does not: status or parent.
        ConcurrentTx is Accepted here: the tag is good, only in use."""
        listed = self.local_list.find(id_tag) if self.has_list() and id_tag else None
        if listed is None or info is None:
            return False
        status = listed.status
        if status == "Accepted" and not listed.is_accepted(self._charge_point.unix_now()):
            status = "Expired"
        told = read_info(info)
        said = "Accepted" if told.status == "ConcurrentTx" else told.status
        return (said, told.parent_id_tag) != (status, listed.parent_id_tag)

    def has_list(self) -> bool:
        """Whether the local list is offered and enabled."""
        configuration = self._charge_point.configuration
        return configuration.has_profile("LocalAuthListManagement") and configuration.boolean(
            "LocalAuthListEnabled"
        )

    def has_cache(self) -> bool:
        """Whether there is a cache and it is enabled."""
        return self._charge_point.mode.has_cache and self._charge_point.configuration.boolean(
            "AuthorizationCacheEnabled"
        )
