"""Pickles from outside: arrays and plain values come out as they went in; everything else is refused, and not run."""

import contextlib
import os
import pickle
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skelstream.train.datasets.restricted_pickle import load


def written(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        # By bytes, which tells NaN from NaN as well.
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and (a == b or a != a)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
numeric = st.sampled_from(["<f2", "<f4", "<f8", ">f4", "|u1", "<i8", ">i2", "|b1", "<U3", "|S4"])
stored = st.one_of(
    plain, arrays.arrays(dtype=numeric, shape=arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
)
nested = st.recursive(
    stored, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner), max_leaves=12
)


@given(nested, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_what_went_in_comes_out_under_every_protocol(value: Any, protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert same(value, load(written(Path(folder) / "a.pkl", value, protocol)))


@pytest.mark.parametrize("protocol", range(6))
def test_columns_first_scalars_and_large_arrays(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    value: dict[str, Any] = {
        "f": np.asfortranarray(rng.normal(size=(3, 4, 5))),
        "s": np.float32(2.5),
        "l": rng.normal(size=100_000),
    }
    back = load(written(tmp_path / "a.pkl", value, protocol))
    assert np.array_equal(back["f"], value["f"]) and np.array_equal(back["l"], value["l"])
    assert back["s"] == 2.5
    back["l"][0] = 7  # its own memory


def test_numpy_1_names_are_read_too(tmp_path: Path) -> None:
    new = pickle.dumps(np.arange(6, dtype=np.float16).reshape(2, 3), protocol=2)
    old = new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "old.pkl").write_bytes(old)
    assert np.array_equal(load(tmp_path / "old.pkl"), [[0, 1, 2], [3, 4, 5]])


class CreatesFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_named_and_not_run(tmp_path: Path, protocol: int) -> None:
    bait = tmp_path / "run"
    path = written(tmp_path / "bad.pkl", {"annotations": [1, CreatesFile(bait)]}, protocol)
    with pytest.raises(ValueError, match=r"bad\.pkl is refused: it names \w+\.mkdir"):
        load(path)
    assert not bait.exists()
    pickle.loads(path.read_bytes())  # the bait is live: any other way of opening it does run it
    assert bait.exists()


def test_doors_that_lead_around_the_list_are_shut(tmp_path: Path) -> None:
    for name, text in {
        "builtins.getattr": b"cbuiltins\ngetattr\n.",
        "numpy.fromfile": b"cnumpy\nfromfile\n.",
        "numpy.core.multiarray.os": b"cnumpy.core.multiarray\nos\n.",
        "numpy.ndarray.tofile": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "posix.system": b"(S'true'\niposix\nsystem\n.",
    }.items():
        (tmp_path / "a.pkl").write_bytes(text)
        with pytest.raises(ValueError, match=f"names {name}"):
            load(tmp_path / "a.pkl")
    for text in (
        b"c_codecs\nencode\n(Vabc\nVutf-7\ntR.",  # a codec is code as well
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        pickle.dumps(np.array([{}, []], dtype=object)),
        pickle.dumps(np.zeros(2, np.dtype([("a", "f4")]))),
        b"cnumpy\nndarray\n.",  # the stand-in itself, unbuilt
    ):
        (tmp_path / "a.pkl").write_bytes(text)
        with pytest.raises(ValueError, match=r"a\.pkl"):
            load(tmp_path / "a.pkl")


def test_an_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    honest = pickle.dumps(np.arange(4, dtype="<i4"), protocol=2)
    assert b"K\x04\x85" in honest  # its shape, (4,)
    for lie in (b"K\x05\x85", b"J" + struct.pack("<i", 2**31 - 1) + b"\x85", b"J" + struct.pack("<i", -4) + b"\x85"):
        (tmp_path / "a.pkl").write_bytes(honest.replace(b"K\x04\x85", lie))
        with pytest.raises(ValueError, match="cannot be read as a pickle"):
            load(tmp_path / "a.pkl")


def test_damage_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        load(tmp_path / "none.pkl")
    whole = pickle.dumps({"a": np.arange(4.0), "b": [1, "x", None]}, protocol=4)
    for cut in range(len(whole)):  # cut off anywhere
        (tmp_path / "cut.pkl").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"cut\.pkl"):
            load(tmp_path / "cut.pkl")
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="cannot be read"):
        load(written(tmp_path / "loop.pkl", loop))


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_noise_never_does_more_than_raise(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pkl"
        path.write_bytes(noise)
        with contextlib.suppress(ValueError):
            load(path)
