# SPDX-License-Identifier: GPL-3.0-or-later
"""Events to whoever watches: bounded, and nobody waits for a watcher."""

from __future__ import annotations

import asyncio
import json

from aiohttp import ClientSession, web

from evtool.link.event_stream import EventStream

WAIT_S = 60


def test_a_watcher_gets_the_latest_and_all_that_follow() -> None:
    async def main() -> None:
        stream = EventStream()
        for number in range(600):
            stream.put({"event": "old", "value": number})
        application = web.Application()
        application.add_routes([web.get("/", stream.serve)])
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with ClientSession() as session, session.get(url) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            seen: list[dict[str, object]] = []

            async def read(count: int) -> None:
                while len(seen) < count:
                    line = await response.content.readline()
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line[6:]))

            async with asyncio.timeout(WAIT_S):
                await read(500)
                stream.put({"event": "new"})
                stream.put({"event": "long", "payload": "x" * 1_000_000, "station": "CP"})
                await read(502)
        assert [each["value"] for each in seen[:500]] == list(range(100, 600))
        assert seen[500]["event"] == "new"
        assert (seen[501]["event"], seen[501]["station"]) == ("long", "CP")
        assert "payload" not in seen[501]
        stream.close()
        await runner.cleanup()

    asyncio.run(main())


def test_what_is_kept_is_bounded() -> None:
    stream = EventStream()
    for _ in range(600):
        stream.put({"event": "long", "payload": "x" * 20_000})
    assert len(stream.latest()) == 500
    assert sum(map(len, stream.latest())) < 1_000_000
