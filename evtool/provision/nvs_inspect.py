# SPDX-License-Identifier: GPL-3.0-or-later
"""An NVS image opened with or without keys, two compared, and one key of one changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.nvs import NvsContent, NvsEntry, NvsImage, NvsKind, parse_image
from evtool.protocol.nvs_encryption import NvsKeys, decrypt_image, encrypt_image
from evtool.protocol.nvs_page import PAGE_SIZE, NvsPage, PageState, scan_page, without_erased
from evtool.protocol.nvs_store import NvsStore


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """A partition's plain image and what it holds."""

    plain: bytes = field(repr=False)
    content: NvsImage

    @property
    def pages(self) -> list[NvsPage]:
        """What stands in each page."""
        return _pages(self.plain)


def open_image(name: str, image: bytes, keys: NvsKeys | None) -> OpenedImage:
    """An image as it is, or decrypted.

    Args:
        name: for messages.
        image: the partition, any bytes.
        keys: decrypt with these; None for a plain one.

    Raises:
        ConfigError: not a whole number of pages.
        CheckFailed: encrypted and no keys given, the keys are not its keys, or keys were
            given and it is plain.
    """
    if not image or len(image) % PAGE_SIZE:
        raise ConfigError(
            f"{name}: {len(image)} bytes are not a whole number of pages of {PAGE_SIZE}",
            fix="name the image of a whole NVS partition",
        )
    plain = image if keys is None else decrypt_image(image, keys)
    if _is_illegible(plain):
        if keys is None:
            raise CheckFailed(
                f"{name}: no entry of it is sound: it is encrypted, or damaged throughout",
                fix="name the image of its partition nvs_keys with --keys",
            )
        if not _is_illegible(image):
            raise CheckFailed(f"{name}: it is not encrypted", fix="leave out --keys")
        raise CheckFailed(
            f"{name}: these keys do not open it, or it is damaged throughout",
            fix="name the keys of this unit",
        )
    return OpenedImage(plain, parse_image(plain))


def _pages(image: bytes) -> list[NvsPage]:
    return [scan_page(image[at : at + PAGE_SIZE]) for at in range(0, len(image), PAGE_SIZE)]


def _is_illegible(plain: bytes) -> bool:
    """Pages in use, with entries that count, and not one sound item."""
    live = [page for page in _pages(plain) if page.is_live]
    return not any(page.items for page in live) and any(page.problems for page in live)


# --- compare ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """A key that two images do not have alike; one of them is None where it is missing."""

    namespace: str
    key: str
    left: NvsEntry | None
    right: NvsEntry | None

    @property
    def change(self) -> str:
        """`added`, `removed`, `type` or `value`."""
        if self.left is None:
            return "added"
        if self.right is None:
            return "removed"
        return "value" if self.left.kind == self.right.kind else "type"


def differences(left: NvsImage, right: NvsImage) -> list[KeyDifference]:
    """What differs, in the order of namespace and key; where it stands does not count."""
    ours = {(entry.namespace, entry.key): entry for entry in left.entries}
    theirs = {(entry.namespace, entry.key): entry for entry in right.entries}
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one != other:
            found.append(KeyDifference(*name, one, other))
    return found


# --- change -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NvsChange:
    """One key's new value.

    Attributes:
        create: the key may be a new one.
        change_kind: it may have had another type.
    """

    namespace: str
    key: str
    kind: NvsKind
    value: NvsContent = field(repr=False)
    create: bool = False
    change_kind: bool = False

    @property
    def name(self) -> str:
        """`namespace.key`."""
        return f"{self.namespace}.{self.key}"


def change_image(name: str, image: bytes, keys: NvsKeys | None, change: NvsChange) -> bytes:
    """The image with one key changed and everything else as it was.

    Leftovers of a power cut are mended, as the firmware would, and erased values, the one
    before among them, are overwritten. The result is the same image
    where the key has the value already.

    Args:
        name: the image's, for messages.
        image: the partition; it is encrypted where `keys` are given, and so is the result.

    Raises:
        ConfigError: no such key, or of another type, and that was not allowed; no room;
            not a value that NVS holds.
        CheckFailed: the image is damaged: writing to it could lose what is still there.
    """
    opened = open_image(name, image, keys)
    _refuse_damage(name, opened)
    old = next(
        (
            each
            for each in opened.content.entries
            if (each.namespace, each.key) == (change.namespace, change.key)
        ),
        None,
    )
    _check_wanted(name, opened.content, change, old)
    if old is not None and (old.kind, old.value) == (change.kind, change.value):
        return image
    store = NvsStore(opened.plain)
    try:
        store.set(change.namespace, change.key, change.kind, change.value)
    except ValueError as error:
        raise ConfigError(
            f"{name}: {change.name} cannot be stored: {error}",
            fix="give a value that the type and the partition hold; nothing was changed",
        ) from None
    plain = without_erased(store.image)
    after = parse_image(plain)
    changed = {(each.namespace, each.key) for each in differences(opened.content, after)}
    if after.problems or changed != {(change.namespace, change.key)}:
        raise CheckFailed(
            f"{name}: {change.name} cannot be changed without losing something else",
            fix="see what is wrong with it with `evtool provision nvs read`",
        )
    return plain if keys is None else encrypt_image(plain, keys)


def _refuse_damage(name: str, opened: OpenedImage) -> None:
    """Anything that is worse than a write cut short."""
    bad: list[str] = []
    for number, page in enumerate(opened.pages):
        # the first of a page's problems is the unfinished write, where there is one
        worse = page.problems[1:] if page.dirty_entries else page.problems
        if worse or page.state == PageState.CORRUPT:
            bad += [f"page {number}: {problem}" for problem in worse]
    if bad:
        raise CheckFailed(
            f"{name} is damaged; a write could lose what is still there:\n  " + "\n  ".join(bad),
            fix="read what is left with `evtool provision nvs read`, and build it anew",
        )


def _check_wanted(name: str, image: NvsImage, change: NvsChange, old: NvsEntry | None) -> None:
    if old is None and not change.create:
        keys = sorted(each.key for each in image.entries if each.namespace == change.namespace)
        known = f"{change.namespace} has {', '.join(keys)}" if keys else "nor such a namespace"
        raise ConfigError(
            f"{name}: no key {change.name} ({known})",
            fix="name a key that it has, or make a new one with --create",
        )
    if old is not None and old.kind != change.kind and not change.change_kind:
        raise ConfigError(
            f"{name}: {change.name} is a {old.kind}, not a {change.kind}",
            fix="use its type, or store another with --change-type: firmware may not find it then",
        )
