"""BVH and ASF/AMC: joints land where the angles put them, by hand and on genuine files; damage is one clear line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import CMU31
from skelstream.train.datasets import READERS
from skelstream.train.datasets.asf_amc import read_amc, read_asf
from skelstream.train.datasets.bvh import read_bvh
from skelstream.train.datasets.rotation import about, fixed_xyz

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
genuine = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside the repository")

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Knee
  {
    OFFSET 0 -4 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Foot
    {
      OFFSET 0 -3 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0 0 1
      }
    }
  }
  JOINT Tail
  {
    OFFSET 0 0 -2
    CHANNELS 0
  }
}
MOTION
Frames: 3
Frame Time: 0.05
0 0 0 0 0 0 0 0 0 0 0 0
5 6 7 0 0 0 90 0 0 0 0 0
5 6 7 90 0 0 0 90 0 0 0 0
"""


@given(st.lists(st.floats(-720, 720), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_rotation_keeps_lengths_and_hands_and_turns_its_axis_onto_itself(degrees: list[float]) -> None:
    turn = fixed_xyz(np.array(degrees))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    for i, axis in enumerate("XYZ"):
        np.testing.assert_allclose(about(axis, np.radians(degrees[0]))[i], np.eye(3)[i])
    # A right-handed quarter turn: x to y about z, y to z about x, z to x about y.
    for i, axis in enumerate("XYZ"):
        np.testing.assert_allclose(
            about(axis, np.array(np.pi / 2)) @ np.eye(3)[(i + 1) % 3], np.eye(3)[(i + 2) % 3], atol=1e-12
        )


def test_bvh_by_hand(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(BVH)
    bvh = read_bvh(tmp_path / "a.bvh")
    assert bvh.joints == ("Hips", "Knee", "Foot", "Tail") and bvh.parents == (-1, 0, 1, 0)
    assert bvh.frame_time_s == 0.05
    rest, bent, turned = bvh.positions()
    # The root's position channels replace its offset.
    np.testing.assert_allclose(rest, [[0, 0, 0], [0, -4, 0], [0, -7, 0], [0, 0, -2]], atol=1e-12)
    # A quarter turn about z at the knee carries the shin from down to +x.
    np.testing.assert_allclose(bent, [[5, 6, 7], [5, 2, 7], [8, 2, 7], [5, 6, 5]], atol=1e-12)
    # The hips turn about z: the thigh points to +x, and the knee's own x axis to +y. A quarter turn about that carries
    # the shin from +x to -z.
    np.testing.assert_allclose(turned, [[5, 6, 7], [9, 6, 7], [9, 6, 4], [5, 6, 5]], atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        "", "HIERARCHY", BVH.replace("HIERARCHY", "SKELETON"), BVH.replace("Frames: 3", "Frames: 9999999999"),
        BVH.replace("Frames: 3", "Frames: 2"), BVH.replace("Frame Time: 0.05", "Frame Time: 0"),
        BVH.replace("Xposition", "Wposition"), BVH.replace("OFFSET 0 -4 0", "OFFSET 0 -4"), BVH.replace("}", "", 1),
        BVH.replace("5 6 7 0 0 0 90 0 0 0 0 0", "5 6 7 0 0"), BVH.replace("5 6 7 0", "5 6 x 0", 1),
        BVH.replace(" 0\n5 6 7", "\n5 6 7").replace("0 0 0 0 0\n", "0 0 0 0\n"), BVH.partition("MOTION")[0],
        BVH.replace("}\n}\nMOTION", "}\n}\n}\nMOTION"),
    ],
)  # fmt: skip
def test_damaged_bvh_is_named(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "a.bvh").write_text(wrong)
    with pytest.raises(ValueError, match=r"a\.bvh cannot be read as BVH"):
        read_bvh(tmp_path / "a.bvh")


@genuine
def test_genuine_bvh_agrees_with_the_set_as_others_have_read_it() -> None:
    with np.load(SHARED / "npz" / "bandai1.npz") as data:
        classes, styles = data["class_names"][data["label"]], data["style_names"][data["style"]]
        clips = {"_".join(name): i for i, name in enumerate(zip(classes, styles, data["index"], strict=True))}
        parents = tuple(data["parents"])
    prepared = {r.name: r for r in READERS["bandai1"].read(SHARED / "npz")}
    original = list(READERS["bandai1"].read(SHARED / "raw" / "samples" / "bandai_bvh"))
    assert len(original) == 14
    for r in original:
        expected = prepared[f"bandai1/{clips[r.name.removeprefix('bandai1/')]:03d}"]
        np.testing.assert_allclose(r.joints, expected.joints, atol=1e-5)
        np.testing.assert_allclose(r.times_s, expected.times_s, atol=1e-3)  # the files round their frame time
        assert np.array_equal(r.labels, expected.labels)
    path = SHARED / "raw" / "samples" / "bandai_bvh" / "dataset-1_bow_normal_001.bvh"
    assert read_bvh(path).parents == parents


ASF = """# by hand
:version 1.10
:name test
:units
  mass 1.0
  length 0.5
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 2
    name shin
    direction 0 -1 0
    length 3
    axis 0 0 90 XYZ
    dof rx
    limits (-10 170)
  end
  begin
    id 1
    name thigh
    direction 0 -1 0
    length 4
    axis 0 0 0 XYZ
    dof rx rz
    limits (-160 20)
           (-70 60)
  end
  begin
    id 3
    name stub
    direction 1 0 0
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thigh stub
    thigh shin
  end
"""
AMC = """#!OML:ASF test
:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
thigh 0 0
shin 0
2
root 1 2 3 0 0 90
thigh 0 0
shin 0
3
root 0 0 0 0 0 0
thigh 90 0
shin 90
"""
METRES = 0.0254 / 0.5


def by_hand(folder: Path, asf: str = ASF, amc: str = AMC) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    (folder / "a.asf").write_text(asf)
    (folder / "a.amc").write_text(amc)
    skeleton = read_asf(folder / "a.asf")
    return skeleton.names, skeleton.ends(read_amc(folder / "a.amc", skeleton)) / METRES


def test_amc_by_hand(tmp_path: Path) -> None:
    names, (rest, turned, bent) = by_hand(tmp_path)
    assert names == ("root", "thigh", "stub", "shin")  # a parent before its children, whatever the file's order
    np.testing.assert_allclose(rest, [[0, 0, 0], [0, -4, 0], [1, 0, 0], [0, -7, 0]], atol=1e-12)
    np.testing.assert_allclose(turned, [[1, 2, 3], [5, 2, 3], [1, 3, 3], [8, 2, 3]], atol=1e-12)
    # The thigh turns about x, from down to -z. The shin's own x axis is, at rest, the body's y, about which "down" does
    # not move: it goes on along the thigh.
    np.testing.assert_allclose(bent, [[0, 0, 0], [0, 0, -4], [1, 0, 0], [0, 0, -7]], atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        "", "not a skeleton", ASF.partition(":hierarchy")[0], ASF.replace("angle deg", "angle rad"),
        ASF.replace("    direction 0 -1 0\n", "", 1), ASF.replace("thigh shin", ""),
        ASF.replace("dof rx\n", "dof tx\n"),
        ASF.replace("axis 0 0 90 XYZ", "axis 0 0 90 ZYX"), ASF.replace("root thigh stub", "shin thigh stub"),
        ASF.replace("length 0.5", "length zero"),
    ],
)  # fmt: skip
def test_damaged_asf_is_named(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"a\.asf cannot be read as ASF"):
        by_hand(tmp_path, asf=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "", ":DEGREES\n", AMC[:-9], AMC[: AMC.index("3\nroot") + 2], AMC.replace("thigh 90 0", "thigh 90"),
        AMC.replace("shin 90", "fin 90"), AMC.replace("\n2\n", "\n3\n"), AMC.replace("thigh 90", "thigh x"),
    ],
)  # fmt: skip
def test_damaged_amc_is_named(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"a\.amc cannot be read as AMC"):
        by_hand(tmp_path, amc=wrong)


def cmu_skeleton() -> str:
    """An ASF with all bones of CMU's skeletons, each a tenth of a metre down its parent, with CMU's freedoms."""
    key = "root lhipjoint rhipjoint lowerback"  # the freedoms that a bone has, by its kind
    free = {"clavicle": "yz", "radius": "x", "wrist": "y", "hand": "xz", "fingers": "x", "thumb": "xz"}
    free |= {"tibia": "x", "foot": "xz", "toes": "x"}
    bones, tree = "", "".join(f"    root {name}\n" for name in key.split()[1:])
    parent = {CMU31.joints[child]: CMU31.joints[above] for child, above in CMU31.bones}
    for name in CMU31.joints[1:]:
        dof = "" if name.endswith("hipjoint") else free.get(name[1:], "xyz")
        line = f"    dof {' '.join('r' + axis for axis in dof)}\n" if dof else ""
        bones += f"  begin\n    name {name}\n    direction 0 -1 0\n    length 1\n    axis 0 0 0 XYZ\n{line}  end\n"
        if parent[name] != "root":
            tree += f"    {parent[name]} {name}\n"
    return f":units\n  length 0.254\n  angle deg\n:bonedata\n{bones}:hierarchy\n  begin\n{tree}  end\n"


@genuine
def test_a_genuine_amc_is_read_on_a_skeleton_with_cmus_freedoms(tmp_path: Path) -> None:
    samples = SHARED / "raw" / "samples"
    (tmp_path / "13_30.amc").write_bytes((samples / "cmu_amc" / "13_30.amc").read_bytes())
    with pytest.raises(ValueError, match=r"cannot be read without 13\.asf"):
        next(READERS["cmu_mocap6"].read(tmp_path))
    (tmp_path / "13.asf").write_text(cmu_skeleton())
    with pytest.raises(ValueError, match=r"cannot be read without 13_30\.txt"):
        next(READERS["cmu_mocap6"].read(tmp_path))
    (tmp_path / "13_30.txt").write_bytes((samples / "cmu_truelabels_10fps" / "13_30.txt").read_bytes())
    (recording,) = READERS["cmu_mocap6"].read(tmp_path)
    prepared = next(r for r in READERS["cmu_mocap6"].read(SHARED / "npz") if r.name == recording.name)
    assert recording.joints.shape == prepared.joints.shape and recording.subject == prepared.subject
    assert np.array_equal(recording.labels, prepared.labels) and np.array_equal(recording.times_s, prepared.times_s)


@genuine
def test_genuine_angles_turn_the_root_and_thigh_of_the_genuine_recording() -> None:
    """Without CMU's own ASF: by these angles the hips are fixed to the root, and the thigh is rigid in its hip."""
    values: dict[str, list[list[float]]] = {}
    for line in (SHARED / "raw" / "samples" / "cmu_amc" / "13_29.amc").read_text().split("\n"):
        words = line.split()
        if len(words) > 1 and words[0] in ("root", "lfemur"):
            values.setdefault(words[0], []).append([float(word) for word in words[1:]])
    root, thigh = (np.array(values[name])[::4] for name in ("root", "lfemur"))
    with np.load(SHARED / "npz" / "cmu_mocap6.npz") as data:
        x, names = data["x"][: data["offsets"][1]].astype(np.float64), list(data["joint_names"])
    at = {name: x[:, names.index(name)] for name in ("root", "lfemur", "rfemur", "ltibia")}
    np.testing.assert_allclose(at["root"], root[:, :3] * 0.0254 / 0.45, atol=1e-4)
    body = fixed_xyz(root[:, 3:])
    for hip in ("lfemur", "rfemur"):  # joints of this file stand where their bones begin
        assert np.einsum("tji,tj->ti", body, at[hip] - at["root"]).std(axis=0).max() < 1e-6
    # The thigh is C M(angles) e in the body, with an unknown axis C and rest e: find both, and nothing is left over.
    seen = np.einsum("tji,tj->ti", body, at["ltibia"] - at["lfemur"])
    own, rest = fixed_xyz(thigh), np.array([0.1, -0.4, 0.0])
    for _ in range(300):
        u, _, vt = np.linalg.svd(seen.T @ (own @ rest))
        axis = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        rest = np.einsum("tji,tj->ti", own, seen @ axis).mean(axis=0)
    assert np.abs(seen - (own @ rest) @ axis.T).max() < 1e-5
