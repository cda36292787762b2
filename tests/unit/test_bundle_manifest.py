# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a bundle's manifest: nothing that it lists can leave the folder."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol import bundle_manifest as manifests
from evtool.protocol.bundle_manifest import BundledPackage, BundleRule, Entry, Manifest, Need

HASH = "0" * 64
TOOL = BundledPackage("tool", "gcc", "espressif", "8.4.0", "GPL-2.0", "tools/gcc", ("linux_x",))
WHEEL = BundledPackage("wheel", "evtool", "-", "0.1.0", "GPL", "evtool/evtool-0.1.0-py3.whl")
GOOD = Manifest(
    evtool="0.1.0",
    platformio="6.2.0",
    environment="esp32dev",
    system="linux_x",
    python="3.11",
    needs=(Need("tool", "espressif/gcc", "8.4.0"),),
    packages=(TOOL, WHEEL),
    entries=(
        Entry("evtool/evtool-0.1.0-py3.whl", 5, 0o644, HASH),
        Entry("tools/gcc/bin/gcc", 10, 0o755, HASH),
        Entry("tools/gcc/bin/g++", link="gcc"),
        Entry("tools/gcc/empty", is_folder=True),
        Entry("tools/gcc/lib", link="./libexec/../bin"),
        Entry("tools/gcc/libexec/x", 1, 0o644, HASH),
    ),
)
GOOD = replace(GOOD, entries=tuple(sorted(GOOD.entries, key=lambda entry: entry.path)))


def test_it_comes_back() -> None:
    data = manifests.encode(GOOD)
    assert manifests.decode(data) == GOOD
    assert manifests.encode(manifests.decode(data)) == data
    assert GOOD.size == 16
    assert len(manifests.bundle_id(data)) == 16
    assert manifests.bundle_id(data) != manifests.bundle_id(data + b" ")


def with_entry(entry: Entry) -> Manifest:
    entries = sorted((*GOOD.entries, entry), key=lambda e: e.path)
    return replace(GOOD, entries=tuple(entries))


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        (Entry("../evil", 1, 0o644, HASH), "relative"),
        (Entry("tools/gcc/../../evil", 1, 0o644, HASH), "relative"),
        (Entry("/etc/passwd", 1, 0o644, HASH), "relative"),
        (Entry("tools//gcc/x", 1, 0o644, HASH), "relative"),
        (Entry("tools/gcc/./x", 1, 0o644, HASH), "relative"),
        (Entry("tools/gcc/x/", 1, 0o644, HASH), "relative"),
        (Entry("", 1, 0o644, HASH), "relative"),
        (Entry("tools/gcc/a\\b", 1, 0o644, HASH), "backslash"),
        (Entry("tools/gcc/a\nb", 1, 0o644, HASH), "control"),
        (Entry("tools/gcc/a\0b", 1, 0o644, HASH), "control"),
        (Entry("tools/gcc/" + "n" * 256, 1, 0o644, HASH), "255"),
        (Entry("tools/gcc/" + "n/" * 1500 + "n", 1, 0o644, HASH), "2000"),
        (Entry("tools/gcc/bin/gcc", 10, 0o755, HASH), "listed twice"),
        (Entry("tools/gcc/bin/gcc/x", 1, 0o644, HASH), "no folder"),
        (Entry("tools/gcc/lib/x", 1, 0o644, HASH), "no folder"),
        (Entry("tools/gcc/empty/x", 1, 0o644, HASH), "no folder"),
        (Entry("tools/other/x", 1, 0o644, HASH), "no package"),
        (Entry("MANIFEST.json", 1, 0o644, HASH), "no package"),
        (Entry("evtool/other.whl", 1, 0o644, HASH), "no package"),
        (Entry("tools/gcc/evil", link="/etc/passwd"), "relative path"),
        (Entry("tools/gcc/evil", link=""), "relative path"),
        (Entry("tools/gcc/evil", link="../other"), "leaves its package"),
        (Entry("tools/gcc/evil", link="../../../x"), "leaves its package"),
        (Entry("tools/gcc/evil", link="../gcc/../../x"), "leaves its package"),
        (Entry("tools/gcc/evil", link="lib/../../x"), "leads through the link"),
        (Entry("tools/gcc/evil", link="evil/../evil"), "leads through the link"),
    ],
)
def test_what_no_manifest_may_list(entry: Entry, rule: str) -> None:
    with pytest.raises(BundleRule, match=rule) as caught:
        manifests.encode(with_entry(entry))
    assert caught.value.entry
    assert caught.value.rule


def test_the_order_is_fixed() -> None:
    with pytest.raises(BundleRule, match="not in order"):
        manifests.encode(replace(GOOD, entries=GOOD.entries[::-1]))


@pytest.mark.parametrize(
    ("package", "rule"),
    [
        (replace(TOOL, folder="tools"), "no place"),
        (replace(TOOL, folder="tools/a/b"), "no place"),
        (replace(TOOL, folder="platforms/gcc"), "no place"),
        (replace(TOOL, folder="../tools/gcc"), "relative"),
        (replace(TOOL, folder="tools/.current"), "hidden"),
        (TOOL, "listed twice"),
        (replace(TOOL, kind="other", folder="other/x"), "no place"),
        (replace(TOOL, folder="tools/nothing"), "no file of it"),
    ],
)
def test_packages_that_have_no_place(package: BundledPackage, rule: str) -> None:
    with pytest.raises(BundleRule, match=rule):
        manifests.encode(replace(GOOD, packages=(*GOOD.packages, package)))


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("size", -1, "a size is"),
        ("size", 1 << 40, "a size is"),
        ("size", 1.5, "a size is"),
        ("size", True, "a size is"),
        ("mode", "4755", "644 or 755"),
        ("mode", "777", "644 or 755"),
        ("mode", 644, "644 or 755"),
        ("sha256", "0" * 63, "64 hexadecimal"),
        ("sha256", None, "64 hexadecimal"),
        ("path", 5, "not a manifest"),
        ("link", 5, "a text"),
    ],
)
def test_values_of_an_entry(key: str, value: object, rule: str) -> None:
    document = json.loads(manifests.encode(GOOD))
    document["entries"][0][key] = value
    with pytest.raises(BundleRule, match=rule):
        manifests.decode(json.dumps(document).encode())


def test_a_newer_schema_is_named() -> None:
    document = json.loads(manifests.encode(GOOD)) | {"schema": 2}
    with pytest.raises(BundleRule, match="newer evtool"):
        manifests.decode(json.dumps(document).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(manifests.encode(GOOD)))), JSON)
def test_any_other_value_is_refused_or_read(key: str, value: Any) -> None:
    document = json.loads(manifests.encode(GOOD))
    document[key] = value
    with contextlib.suppress(BundleRule):
        manifests.decode(json.dumps(document).encode())


@given(st.binary(max_size=300))
def test_bytes_that_are_no_manifest(data: bytes) -> None:
    with pytest.raises(BundleRule):
        manifests.decode(data)


@given(
    st.lists(st.sampled_from(["a", "b", "l", "..", ".", "", "m"]), max_size=8),
    st.lists(st.sampled_from(["a", "b", "..", "l"]), min_size=1, max_size=4),
)
def test_a_link_that_is_let_through_stays_inside_on_disk(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], other: list[str]
) -> None:
    """The file system is asked where the links lead, whatever their texts look like."""
    target, second = "/".join(parts), "/".join(other)
    package = BundledPackage("tool", "t", "o", "1", "x", "tools/t")
    entries = (
        Entry("tools/t/a/b/file", 0, 0o644, HASH),
        Entry("tools/t/a/l", link=second),
        Entry("tools/t/m", link=target),
    )
    manifest = replace(GOOD, packages=(package,), entries=entries)
    try:
        manifests.encode(manifest)
    except BundleRule:
        return
    root = tmp_path_factory.mktemp("links", numbered=True)
    inside = root / "tools/t"
    (inside / "a/b").mkdir(parents=True)
    (inside / "a/b/file").touch()
    (inside / "a/l").symlink_to(second)
    (inside / "m").symlink_to(target)
    for link in (inside / "a/l", inside / "m"):
        try:
            resolved = link.resolve()
        except (OSError, RuntimeError):
            continue  # a loop leads nowhere
        assert resolved.is_relative_to(inside.resolve())


def test_the_manifest_is_small_for_many_files(tmp_path: Path) -> None:
    entries = tuple(Entry(f"tools/gcc/{n:05}", 1, 0o644, HASH) for n in range(20_000))
    manifest = replace(GOOD, packages=(TOOL,), entries=entries)
    data = manifests.encode(manifest)
    assert len(data) < manifests.LARGEST / 20
    assert manifests.decode(data) == manifest
