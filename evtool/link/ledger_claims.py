# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has what: the ledger's tables of claims, and of claims that two stations made apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from evtool.errors import ConfigError
from evtool.link.ledger_schema import FoldedColumn, claims, contested
from evtool.protocol.ledger_record import Claim, folded


def insert_if_new(connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row; False: there is one of its key. Waits for who is about to insert it."""
    statement = _insert(connection, table).values(**values).on_conflict_do_nothing()
    # Not by the number of rows: for an INSERT not every driver says it.
    returned = statement.returning(*table.primary_key.columns)
    return connection.execute(returned).one_or_none() is not None


def _insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def take_all(
    connection: sa.Connection, wanted: Sequence[Claim]
) -> tuple[list[Claim], Claim | None]:
    """Win all of these claims, or none; or bind those that their unit has to its board.

    Args:
        wanted: in the order in which every station takes them, so that no two wait for one
            another.

    Returns:
        Those that are new or bound, and the claim of another holder that is in the way.
    """
    if not wanted:
        return [], None
    # All at once, as nearly every claim is new: each statement is a way to the server and back.
    statement = _insert(connection, claims).on_conflict_do_nothing()
    returned = connection.execute(
        statement.returning(claims.c.kind, claims.c.value),
        [dataclasses.asdict(claim) for claim in wanted],
    )
    won = {(row.kind, row.value) for row in returned}
    there = [claim for claim in wanted if (claim.kind, claim.value) not in won]
    holder, unsettled = None, []
    for claim in there:
        holder = holder_of(connection, claim.kind, claim.value)
        if holder is not None and not holder.fits(claim.unit, claim.mac):
            break
        if holder is None or (claim.mac is not None and holder.mac is None):
            unsettled.append(claim)  # released just now, or to be bound to its board
        holder = None
    if unsettled and holder is None:
        with connection.begin_nested() as savepoint:
            for claim in unsettled:
                is_new, holder = take(connection, claim)
                if holder is not None:
                    savepoint.rollback()
                    break
                if is_new:
                    won.add((claim.kind, claim.value))
    if holder is None:
        return [claim for claim in wanted if (claim.kind, claim.value) in won], None
    for claim in wanted:
        if claim not in there:
            connection.execute(claims.delete().where(*_key(claims, claim)))
    return [], holder


def take(connection: sa.Connection, wanted: Claim) -> tuple[bool, Claim | None]:
    """Win a claim, or bind the one that its unit has to its board.

    Returns:
        Whether something is new, and the claim of another holder that is in the way.
    """
    while True:
        if insert_if_new(connection, claims, **dataclasses.asdict(wanted)):
            return True, None
        holder = holder_of(connection, wanted.kind, wanted.value)
        if holder is None:
            continue  # released between the two statements
        if not holder.fits(wanted.unit, wanted.mac):
            return False, holder
        if wanted.mac is None or holder.mac == wanted.mac:
            return False, None
        bound = connection.execute(
            claims.update()
            .where(*_key(claims, holder), claims.c.unit == wanted.unit, claims.c.mac.is_(None))
            .values(mac=wanted.mac, station=wanted.station, seq=wanted.seq, time=wanted.time)
        )
        if bound.rowcount > 0:
            return True, None


def contest(connection: sa.Connection, claim: Claim) -> None:
    """Keep a claim on what another holder has."""
    for other in contenders_of(connection, claim.kind, claim.value):
        if other.fits(claim.unit, claim.mac):
            if claim.mac is not None and other.mac is None:
                connection.execute(
                    contested.update()
                    .where(*_key(contested, other), *_origin(other))
                    .values(mac=claim.mac)
                )
            return
    connection.execute(contested.insert().values(**dataclasses.asdict(claim)))


def give_up(
    connection: sa.Connection, kind: str, value: str, unit: str, mac: str | None
) -> Claim | None:
    """Release what `unit` on board `mac` (None: on any) holds; who contested it gets it.

    Raises:
        ConfigError: without `mac` it is not clear which of two boards gives it up.
    """
    holder = holder_of(connection, kind, value)
    others = contenders_of(connection, kind, value)
    fitting = [each for each in (holder, *others) if each is not None and each.fits(unit, mac)]
    if not fitting:
        return None
    if len(fitting) > 1:
        boards = ", ".join(sorted(each.mac or "a board not known" for each in fitting))
        raise ConfigError(
            f"{kind} {value} is claimed by {unit} on several boards: {boards}",
            fix="name the board that gives it up",
        )
    [released] = fitting
    _remove(connection, released, is_holder=released is holder, heirs=others)
    return released


def give_up_there(connection: sa.Connection, given_up: Claim) -> bool:
    """Release here what `given_up.unit` released in another ledger.

    Returns:
        False: it holds it on a board here that was not named there; that stays.
    """
    holder = holder_of(connection, given_up.kind, given_up.value)
    others = contenders_of(connection, given_up.kind, given_up.value)
    of_unit = [each for each in (holder, *others) if each is not None]
    of_unit = [each for each in of_unit if each.unit == given_up.unit]
    for each in of_unit:
        if each.mac in (None, given_up.mac):
            _remove(connection, each, is_holder=each is holder, heirs=others)
            return True
    return not of_unit


def _remove(
    connection: sa.Connection, released: Claim, *, is_holder: bool, heirs: list[Claim]
) -> None:
    if not is_holder:
        connection.execute(contested.delete().where(*_key(contested, released), *_origin(released)))
        return
    connection.execute(claims.delete().where(*_key(claims, released)))
    if heirs:
        heir = heirs[0]
        connection.execute(contested.delete().where(*_key(contested, heir), *_origin(heir)))
        connection.execute(claims.insert().values(**dataclasses.asdict(heir)))


def _alike(table: sa.Table, kind: str, value: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.kind == kind, FoldedColumn(table.c.value) == folded(value)


def _key(table: sa.Table, claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.kind == claim.kind, table.c.value == claim.value


def _origin(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return contested.c.station == claim.station, contested.c.seq == claim.seq


def holder_of(connection: sa.Connection, kind: str, value: str) -> Claim | None:
    """Who holds a claim, in whatever letters' case."""
    query = sa.select(claims).where(*_alike(claims, kind, value))
    # Of an older evtool's ledger that is only looked at, the first one; else there is but one.
    query = query.order_by(claims.c.time, claims.c.station, claims.c.seq)
    row = connection.execute(query).first()
    return None if row is None else Claim(*row)


def holders_of(connection: sa.Connection, kind: str, values: Sequence[str]) -> dict[str, Claim]:
    """Who holds those of `values` that are claimed, in whatever letters' case."""
    wanted = {folded(value) for value in values}
    query = sa.select(claims).where(claims.c.kind == kind, FoldedColumn(claims.c.value).in_(wanted))
    held = {folded(row.value): Claim(*row) for row in connection.execute(query)}
    return {value: held[folded(value)] for value in values if folded(value) in held}


def contenders_of(connection: sa.Connection, kind: str, value: str) -> list[Claim]:
    """Who else claims it, in whatever letters' case; the earliest first."""
    query = (
        sa.select(contested)
        .where(*_alike(contested, kind, value))
        .order_by(contested.c.time, contested.c.station, contested.c.seq)
    )
    return [Claim(*row) for row in connection.execute(query)]


def claims_of(connection: sa.Connection, unit: str) -> list[Claim]:
    """Everything that a unit holds, by kind and value."""
    query = sa.select(claims).where(claims.c.unit == unit)
    query = query.order_by(claims.c.kind, claims.c.value)
    return [Claim(*row) for row in connection.execute(query)]
