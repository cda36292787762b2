# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of provisioned units: what it offers, and what its records say of a unit.

Records and their hash chain are in `evtool.protocol.ledger_record`; the databases that keep
them are in `evtool.link.ledger_database`.
"""
