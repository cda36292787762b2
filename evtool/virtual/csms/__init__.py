# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system for OCPP 1.6J, pure: connections, clock, store and files come in."""

from evtool.virtual.csms.accounts import Account, Knock
from evtool.virtual.csms.central import Csms
from evtool.virtual.csms.ports import Connection, Event, Store, Wire
from evtool.virtual.csms.records import TransactionRecord
from evtool.virtual.csms.station import Station

__all__ = [
    "Account",
    "Connection",
    "Csms",
    "Event",
    "Knock",
    "Station",
    "Store",
    "TransactionRecord",
    "Wire",
]
