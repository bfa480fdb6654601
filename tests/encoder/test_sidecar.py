"""A compiled engine is loaded if it is whole, and was made from this for this; anything else is told apart."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.engine.sidecar import SIDECAR, add_parity, put_in_place, scratch_beside, seal, unseal

NAME = "model.engine"
FROM = {"graph_sha256": "ab" * 32, "precision": "fp16", "batches": "1 8 64"}
FOR = {"tensorrt": "11.4.0.106", "gpu": "NVIDIA H100 80GB HBM3", "compute_capability": "9.0"}
facts = st.dictionaries(st.sampled_from("abcd"), st.text(max_size=5), max_size=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with a good engine."""
    folder = tmp_path / "tensorrt-fp16-0123"
    folder.mkdir()
    seal(folder, NAME, b"plan" * 100, made_from=FROM, made_for=FOR)
    return folder


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    text = json.loads((folder / SIDECAR).read_text())
    change(text)
    (folder / SIDECAR).write_text(json.dumps(text))


class TestUnseal:
    def test_what_was_sealed_comes_back(self, folder: Path) -> None:
        found = unseal(folder, NAME, made_from=FROM, made_for=FOR)
        assert (found.verdict, found.content, found.parity) == ("good", b"plan" * 100, None)
        text = json.loads((folder / SIDECAR).read_text())
        assert text["sealed"] == {"sha256": hashlib.sha256(b"plan" * 100).hexdigest(), "bytes": 400}
        assert text["made_from"] == FROM and text["made_for"] == FOR

    def test_nothing_is_absent(self, tmp_path: Path) -> None:
        assert unseal(tmp_path / "none", NAME, made_from=FROM, made_for=FOR).verdict == "absent"

    @given(sealed_from=facts, sealed_for=facts, made_from=facts, made_for=facts, content=st.binary(max_size=64))
    @settings(deadline=None, max_examples=60)
    def test_it_is_good_exactly_if_all_facts_agree(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        sealed_from: dict[str, str],
        sealed_for: dict[str, str],
        made_from: dict[str, str],
        made_for: dict[str, str],
        content: bytes,
    ) -> None:
        folder = tmp_path_factory.mktemp("sealed")
        seal(folder, NAME, content, made_from=sealed_from, made_for=sealed_for)
        expected = "foreign" if sealed_for != made_for else "stale" if sealed_from != made_from else "good"
        found = unseal(folder, NAME, made_from=made_from, made_for=made_for)
        assert found.verdict == expected and found.content == (content if expected == "good" else b"")
        assert unseal(folder, NAME, made_from=sealed_from, made_for=sealed_for).content == content

    @pytest.mark.parametrize(
        ("made_from", "made_for", "verdict", "why"),
        [
            (FROM, {**FOR, "gpu": "NVIDIA Orin"}, "foreign", "its gpu is NVIDIA H100 80GB HBM3, here NVIDIA Orin"),
            (FROM, {**FOR, "tensorrt": "10.1.0"}, "foreign", "its tensorrt is 11.4.0.106, here 10.1.0"),
            ({**FROM, "precision": "int8"}, FOR, "stale", "its precision is fp16, here int8"),
            ({**FROM, "graph_sha256": "cd" * 32}, FOR, "stale", "its graph sha256 is abababababab"),
            ({**FROM, "more": "x"}, FOR, "stale", "its more is unknown, here x"),
        ],
    )
    def test_it_says_what_differs(
        self, folder: Path, made_from: dict[str, str], made_for: dict[str, str], verdict: str, why: str
    ) -> None:
        found = unseal(folder, NAME, made_from=made_from, made_for=made_for)
        assert found.verdict == verdict and found.why.startswith(why) and not found.content

    @given(place=st.integers(0, 399), flip=st.integers(1, 255))
    @settings(deadline=None, max_examples=30)
    def test_any_changed_byte_is_seen(self, tmp_path_factory: pytest.TempPathFactory, place: int, flip: int) -> None:
        folder = tmp_path_factory.mktemp("changed")
        seal(folder, NAME, b"plan" * 100, made_from=FROM, made_for=FOR)
        content = bytearray(b"plan" * 100)
        content[place] ^= flip
        (folder / NAME).write_bytes(content)
        found = unseal(folder, NAME, made_from=FROM, made_for=FOR)
        assert (found.verdict, found.content, found.why) == ("altered", b"", "its digest is another")

    @pytest.mark.parametrize("size", [0, 399, 401])
    def test_another_size_is_seen_before_anything_is_read(
        self, folder: Path, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / NAME).write_bytes(b"x" * size)
        monkeypatch.setattr(hashlib, "sha256", None)  # nothing is digested
        found = unseal(folder, NAME, made_from=FROM, made_for=FOR)
        assert (found.verdict, found.why) == ("altered", f"it has {size} bytes, not 400")

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda text: text.pop("sealed"), "incomplete"),
            (lambda text: text.update(more=1), "incomplete"),
            (lambda text: text.update(format=2), "another version"),
            (lambda text: text.update(made_for=[]), "incomplete"),
            (lambda text: text.update(made_from=None), "incomplete"),
            (lambda text: text.update(name="timings.cache"), "its sidecar is of 'timings.cache'"),
            (lambda text: text.update(sealed={"sha256": "x"}), "lacks the digest"),
            (lambda text: text["sealed"].update(bytes=True), "lacks the digest"),
            (lambda text: text["sealed"].update(bytes=-1), "tells of -1 bytes"),
            (lambda text: text["sealed"].update(bytes=1 << 60), "tells of 1152921504606846976 bytes"),
            (lambda text: text["sealed"].update(sha256=7), "digest is another"),
            (lambda text: text.update(parity=[1]), "no table of numbers"),
            (lambda text: text.update(parity={"largest": "small"}), "no table of numbers"),
            (lambda text: text.update(parity={"largest": math.nan}), "no table of numbers"),
        ],
    )
    def test_a_sidecar_that_makes_no_sense(
        self, folder: Path, change: Callable[[dict[str, Any]], object], why: str
    ) -> None:
        rewrite(folder, change)
        found = unseal(folder, NAME, made_from=FROM, made_for=FOR)
        assert found.verdict == "altered" and why in found.why and not found.content

    @pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b"7", b"[" * 60_000, b" " * (65 << 10)])
    def test_a_sidecar_that_is_none(self, folder: Path, text: bytes) -> None:
        (folder / SIDECAR).write_bytes(text)
        assert unseal(folder, NAME, made_from=FROM, made_for=FOR).verdict == "altered"

    @pytest.mark.parametrize("lost", [NAME, SIDECAR])
    def test_a_file_that_is_missing(self, folder: Path, lost: str) -> None:
        (folder / lost).unlink()
        assert unseal(folder, NAME, made_from=FROM, made_for=FOR).verdict == "altered"


class TestParity:
    def test_it_is_added(self, folder: Path) -> None:
        add_parity(folder, {"largest_difference": 1e-3, "agreement": 1})
        found = unseal(folder, NAME, made_from=FROM, made_for=FOR)
        assert found.verdict == "good" and found.parity == {"largest_difference": 1e-3, "agreement": 1.0}

    def test_what_is_no_number_is_refused_and_the_sidecar_stays(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="JSON compliant"):
            add_parity(folder, {"largest_difference": math.inf})
        assert unseal(folder, NAME, made_from=FROM, made_for=FOR).verdict == "good"
        assert sorted(path.name for path in folder.iterdir()) == [NAME, SIDECAR]


class TestInPlace:
    def test_a_scratch_folder_becomes_the_cache(self, tmp_path: Path) -> None:
        cache = tmp_path / "engines" / "tensorrt-fp16"
        for content in (b"first", b"second"):  # the second in place of the first
            scratch = scratch_beside(cache)
            assert scratch is not None and scratch.parent == cache.parent
            seal(scratch, NAME, content, made_from=FROM, made_for=FOR)
            put_in_place(scratch, cache)
            assert unseal(cache, NAME, made_from=FROM, made_for=FOR).content == content
            assert list(cache.parent.iterdir()) == [cache]

    def test_where_nothing_can_be_written_there_is_no_scratch_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        assert scratch_beside(tmp_path / "file" / "engines" / "tensorrt") is None

    def test_a_failing_move_leaves_nothing_behind(self, folder: Path, tmp_path: Path) -> None:
        scratch = scratch_beside(folder)
        assert scratch is not None
        scratch.rmdir()  # as if another process had cleaned up
        put_in_place(scratch, tmp_path / "other")
        assert list(tmp_path.iterdir()) == [folder]

    def test_an_interrupted_write_leaves_the_old_file(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: int) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            add_parity(folder, {"x": 1.0})
        assert sorted(path.name for path in folder.iterdir()) == [NAME, SIDECAR]
        assert unseal(folder, NAME, made_from=FROM, made_for=FOR).verdict == "good"
