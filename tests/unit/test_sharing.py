# SPDX-License-Identifier: GPL-3.0-or-later
"""How connectors share the maximum of the whole charge point."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from evtool.reference_impl.charge_point.smart_charging import Wish, share


@given(
    st.none() | st.integers(0, 100_000),
    st.dictionaries(
        st.integers(1, 5),
        st.builds(Wish, st.none() | st.integers(0, 50_000), st.integers(0, 10_000)),
        max_size=5,
    ),
)
@example(10_000, {1: Wish(), 2: Wish(3_000)})
def test_shares_never_exceed_the_total(total: int | None, wishes: dict[int, Wish]) -> None:
    parts = share(total, wishes)
    assert parts.keys() == wishes.keys()
    for number, part in parts.items():
        own = wishes[number].limit_ma
        assert own is None or (part is not None and part <= own)
    if total is not None:
        given_out = [part for part in parts.values() if part is not None]
        assert len(given_out) == len(parts)
        assert sum(given_out) <= total
        for number, part in parts.items():
            assert part == 0 or (part is not None and part >= wishes[number].minimum_ma)


def test_shares() -> None:
    assert share(10_000, {1: Wish(), 2: Wish(3_000)}) == {1: 7_000, 2: 3_000}
    assert share(10_000, {1: Wish(None, 6_000), 2: Wish(None, 6_000)}) == {1: 10_000, 2: 0}
    assert share(None, {1: Wish(16_000), 2: Wish()}) == {1: 16_000, 2: None}
