# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of `evtool sim csms` in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from csms_process import CONTROL, WAIT_S, Csms, csms, fetch
from csms_rig import BOOT, station
from headless import OPTIONS, chromium
from websockets.asyncio.client import connect

EVIL = "<img src=x onerror=\"document.title='owned'\">"


def test_a_browser_shows_it_and_its_buttons_work(tmp_path: Path) -> None:
    """Chromium's own protocol drives the page as a person would."""

    async def main(running: Csms) -> None:
        async with (
            station(running.url("CP%20%3Cb%3E1")) as peer,
            browser(chromium(), tmp_path, running.ready["control_url"] + "/") as page,
        ):
            await peer.call("BootNotification", {**BOOT, "chargePointModel": "<b>Model</b>"})
            for connector, status in ((0, "Available"), (1, "Preparing")):
                await peer.call(
                    "StatusNotification",
                    {"connectorId": connector, "errorCode": "NoError", "status": status}
                    | {"info": EVIL[:50]},
                )
            start = {"connectorId": 1, "idTag": "<i>T</i>", "meterStart": 1000}
            await peer.call("StartTransaction", start | {"timestamp": "2024-05-01T12:00:00Z"})
            stop = {"transactionId": 1, "meterStop": 3500, "timestamp": "2024-05-01T13:00:00Z"}
            await peer.call("StopTransaction", stop)
            assert await page("document.querySelector('h3')?.textContent", "CP <b>1")
            assert await page("document.querySelector('.Preparing')?.textContent", "1: Preparing")
            assert await page("document.querySelector('.about').textContent.includes('<b>M')", True)
            assert await page(
                "document.querySelector('tbody td:nth-child(4)')?.textContent", "<i>T</i>"
            )
            assert await page("document.querySelector('tbody .number')?.textContent", "2.500 kWh")
            assert await page("document.querySelectorAll('#messages .call').length >= 5", True)
            await page("document.querySelector('[data-command=start]').click()", None)
            order = await peer.order()
            assert order[2:] == ["RemoteStartTransaction", {"idTag": "TAG-1", "connectorId": 1}]
            assert await page(
                "document.getElementById('answer').textContent.includes('Accepted')", True
            )
            await page(
                "document.getElementById('line').value = 'nonsense';"
                "document.querySelector('#command button').click()",
                None,
            )
            assert await page("document.getElementById('answer').className", "bad")
            await page(
                "document.getElementById('filter').value = 'boot';"
                "document.getElementById('filter').dispatchEvent(new Event('input'))",
                None,
            )
            assert await page(
                "[...document.querySelectorAll('#messages li')].filter((e) => !e.hidden)"
                ".every((e) => /boot/i.test(e.textContent))",
                True,
            )
            # Nothing that a station said became markup, and nothing of the page was blocked.
            assert await page("document.querySelectorAll('main img, main i, h3 b').length", 0)
            assert await page("document.title", "Central system - evtool")
            assert await page("document.documentElement.scrollWidth <= innerWidth", True)

    with csms("--open", *CONTROL) as running:
        asyncio.run(main(running))


@asynccontextmanager
async def browser(
    program: str, folder: Path, url: str
) -> AsyncIterator[Callable[[str, object], Awaitable[bool]]]:
    """A page in a headless browser; call it with an expression and what that has to become."""
    process = await asyncio.create_subprocess_exec(
        *(program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--window-size=1280,900"),
        *("--remote-debugging-port=0", "--remote-allow-origins=*", url),
        stderr=asyncio.subprocess.DEVNULL,  # what it starts would keep a pipe open
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        said = folder / "profile" / "DevToolsActivePort"
        async with asyncio.timeout(WAIT_S):
            while not (said.exists() and "\n" in said.read_text()):
                assert process.returncode is None, "the browser has ended"
                await asyncio.sleep(0.02)
            port = said.read_text().partition("\n")[0]
            target = None
            while target is None:
                _, targets = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/json/list")
                pages = [each for each in targets if each["url"].startswith(url)]
                target = pages[0]["webSocketDebuggerUrl"] if pages else None
        async with connect(target, proxy=None, max_size=None) as debugger:
            number = 0

            async def evaluate(expression: str) -> object:
                nonlocal number
                number += 1
                parameters = {"expression": expression, "returnByValue": True}
                await debugger.send(
                    json.dumps({"id": number, "method": "Runtime.evaluate", "params": parameters})
                )
                while True:
                    answer = json.loads(await debugger.recv())
                    if answer.get("id") == number:
                        return answer["result"]["result"].get("value")

            async def page(expression: str, wanted: object) -> bool:
                async with asyncio.timeout(WAIT_S):
                    while True:
                        value = await evaluate(expression)
                        if wanted is None or value == wanted:
                            return True
                        await asyncio.sleep(0.05)

            yield page
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
