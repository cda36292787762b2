# SPDX-License-Identifier: GPL-3.0-or-later
"""What a charge point wants carried out: transfers, installations, new keys.

Transfers run in threads beside the event loop; what came of one is told to the charge point
that asked for it, and to nobody if that has restarted meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from evtool.errors import EvtoolError
from evtool.link.blocking_calls import BlockingCalls
from evtool.link.clock import monotonic_ms
from evtool.link.file_transfer import (
    Bounds,
    TransferRefused,
    download,
    shown_url,
    upload,
    upload_url,
)
from evtool.link.files import replacing
from evtool.link.private_key import new_private_key_pem
from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import ChargePoint
from evtool.reference_impl.charge_point.diagnostics import UploadOutcome
from evtool.reference_impl.charge_point.effects import (
    Abandon,
    Download,
    Install,
    MakeKey,
    Upload,
    Work,
)
from evtool.reference_impl.charge_point.firmware_update import Installation
from evtool.reference_impl.charge_point.security.root_store import CENTRAL_SYSTEM

Report = Callable[[str, dict[str, object]], None]

_IMAGE, _INSTALLED = "firmware.bin", "installed_firmware.bin"
_SHOWN_EVENTS = 500
_MOST_TRANSFERS = 8
_LONGEST_EVENT = 2_000
_REFUSALS: dict[str, UploadOutcome] = {
    "denied": "PermissionDenied",
    "unsupported": "NotSupportedOperation",
    "bad": "BadMessage",
}


class ChargePointWork:
    """Carries out what one charge point after the other asks for.

    Args:
        folder: where images go; made by whoever owns the storage.
        report: called with an event and its fields; they hold no password.
        then: called after the charge point was told something.
        restarts: an installation ends with a restart.
    """

    def __init__(
        self, folder: Path, report: Report, then: Callable[[], None], *, restarts: bool = False
    ) -> None:
        self._folder = folder
        self._report = report
        self._then = then
        self._restarts = restarts
        self._transfers = BlockingCalls(_MOST_TRANSFERS)
        self._running: dict[tuple[str, int], tuple[asyncio.Task[None], Bounds]] = {}
        self._events: deque[tuple[int | None, str]] = deque(maxlen=_SHOWN_EVENTS)

    def remember(self, unix_ms: int | None, event: str, fields: dict[str, object]) -> None:
        """Keep an event for the next diagnostics; its secrets are masked already."""
        text = json.dumps({"event": event, **fields}, default=str)[:_LONGEST_EVENT]
        self._events.append((unix_ms, text))

    def start(self, charge_point: ChargePoint, work: Work) -> None:
        """Begin to carry out `work`."""
        maintenance = charge_point.maintenance
        bounds = Bounds(ca_pem=maintenance.roots.pem(CENTRAL_SYSTEM))
        match work:
            case Download(ticket, url):
                begin = partial(self._download, charge_point, ticket, url, bounds)
                self._run(("", ticket), begin, bounds)
            case Upload(key, ticket):
                self._run((key, ticket), partial(self._upload, charge_point, work, bounds), bounds)
            case Install(ticket):
                self._run(("", ticket), partial(self._install, charge_point, work), bounds)
            case MakeKey():
                maintenance.on_key(new_private_key_pem(), monotonic_ms())
                self._then()
            case Abandon(ticket, key):
                self._give_up((key, ticket))

    async def close(self) -> None:
        """Give up what is under way: the charge point restarts, or is gone."""
        tasks = [task for task, _ in self._running.values()]
        for name in list(self._running):
            self._give_up(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self) -> None:
        """The same without waiting for it."""
        for name in list(self._running):
            self._give_up(name)

    def _run(
        self, name: tuple[str, int], work: Callable[[], Awaitable[None]], bounds: Bounds
    ) -> None:
        async def guarded() -> None:
            try:
                await work()  # made only now: it may be given up before its first step
            finally:
                # After a restart the name may be another one's.
                if self._running.get(name, (None,))[0] is task:
                    del self._running[name]

        task = asyncio.ensure_future(guarded())
        self._running[name] = (task, bounds)

    def _give_up(self, name: tuple[str, int]) -> None:
        running = self._running.pop(name, None)
        if running is not None:
            running[1].cancelled.set()
            running[0].cancel()

    async def _download(
        self, charge_point: ChargePoint, ticket: int, url: str, bounds: Bounds
    ) -> None:
        digest = None
        try:
            digest = await self._transfers.run(lambda: download(url, self._folder / _IMAGE, bounds))
            self._tell("download", url, "done")
        except EvtoolError as error:
            self._tell("download", url, error.message)
        charge_point.maintenance.on_downloaded(ticket, digest, monotonic_ms())
        self._then()

    async def _upload(self, charge_point: ChargePoint, work: Upload, bounds: Bounds) -> None:
        outcome: UploadOutcome = "Uploaded"
        try:
            content = self._content(charge_point, work)
            url = upload_url(work.url, work.file_name)
            await self._transfers.run(lambda: upload(url, content, bounds))
            self._tell("upload", work.url, "done")
        except (EvtoolError, ValueError) as error:  # the last: a location that is no URL
            outcome = "UploadFailure"
            if isinstance(error, TransferRefused):
                outcome = _REFUSALS[error.kind]
            reason = error.message if isinstance(error, EvtoolError) else "no URL"
            self._tell("upload", work.url, reason)
        charge_point.maintenance.on_uploaded(work, outcome, monotonic_ms())
        self._then()

    def _tell(self, what: str, url: str, state: str) -> None:
        self._report("transfer", {"what": what, "url": shown_url(url), "state": state})

    async def _install(self, charge_point: ChargePoint, work: Install) -> None:
        outcome: Installation = "needs_restart" if self._restarts else "installed"
        try:
            if await asyncio.to_thread(self._copy) != work.sha256:
                outcome = "unverified"
        except (OSError, ValueError):
            outcome = "failed"
        self._report("firmware", {"state": outcome})
        charge_point.maintenance.on_installed(work.ticket, outcome, monotonic_ms())
        self._then()

    def _copy(self) -> str:
        """Install the image; ValueError where it is empty. Returns its SHA-256."""
        # The image stays: after a power cut the installation begins again.
        image = (self._folder / _IMAGE).read_bytes()
        if not image:
            raise ValueError("an empty image")
        with replacing(self._folder / _INSTALLED, 0o600) as installed:
            installed.write(image)
        return hashlib.sha256(image).hexdigest()

    def _content(self, charge_point: ChargePoint, work: Upload) -> bytes:
        if work.log == "SecurityLog":
            log = charge_point.maintenance.log
            return log.render(work.oldest_unix_ms, work.latest_unix_ms).encode()
        configuration = charge_point.configuration.describe(None)["configurationKey"]
        lines = [json.dumps({"configuration": configuration})]
        lines += [
            json.dumps({"connector": each.number, "status": each.status})
            for each in charge_point.connectors
        ]
        for unix_ms, text in self._events:
            early = work.oldest_unix_ms is not None and (unix_ms or 0) < work.oldest_unix_ms
            late = work.latest_unix_ms is not None and (unix_ms or 0) > work.latest_unix_ms
            if not early and not late:
                stamp = ocpp16.render_timestamp(unix_ms) if unix_ms is not None else "-"
                lines.append(f"{stamp} {text}")
        return ("\n".join(lines) + "\n").encode()
