# SPDX-License-Identifier: GPL-3.0-or-later
"""What a charge point carries out beside its messages, given up before it has begun."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

from station_rig import Station

from evtool.cli.charge_point_work import ChargePointWork
from evtool.reference_impl.charge_point.diagnostics import LOG_KEY
from evtool.reference_impl.charge_point.effects import Abandon, Upload


def test_an_upload_that_the_next_one_replaces_at_once_leaves_nothing(tmp_path: Path) -> None:
    charge_point, told = Station().charge_point, []

    async def main() -> None:
        work = ChargePointWork(tmp_path, lambda *event: told.append(event), lambda: None)
        upload = Upload(LOG_KEY, 1, "http://127.0.0.1:9/", "security.txt", "SecurityLog")
        work.start(charge_point, upload)
        work.start(charge_point, Abandon(1, LOG_KEY))
        await asyncio.sleep(0)
        await work.close()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert [str(each.message) for each in warned] == []
    assert told == []
