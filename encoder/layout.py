"""Joints: the one place that knows joint layouts, bones and the conversions between them.

Every layout ends as the 25 Kinect v2 joints of NTU RGB+D (`NTU25`), in metres, in Kinect camera space: the camera at
the origin, x to the camera's left, y up, z from the camera towards the person. It is right-handed, and somebody who
faces the camera has the left shoulder at the smaller x. A picture that is not mirrored shows (x, y, z) at the pixel
(cx - f x / z, cy - f y / z).

A joint that a layout lacks is derived from those it has (`to_ntu25`); a joint that is not known at all is NaN on the
way in and stays NaN on the way out, so that nothing downstream mistakes a guess for a measurement.

Shapes: ... any leading axes, V joint, 3 coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Joints = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A named set of joints.

    `bones` are (child, parent) index pairs, for drawing; `mirror[i]` is the joint that joint i becomes in a mirror.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The index of a joint by name; ValueError names the joints that exist."""
        if joint not in self.joints:
            raise ValueError(f"layout {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)


def _layout(name: str, joints: str, bones: str) -> Layout:
    """Build a layout from space-separated names and `child-parent` pairs of names."""
    names = tuple(joints.split())
    pairs = (pair.split("-") for pair in bones.split())

    def mirrored(joint: str) -> str:
        other_side = {
            joint.replace("Left", "Right"), joint.replace("Right", "Left"),
            re.sub("_L$", "_R", joint), re.sub("_R$", "_L", joint), re.sub("^l", "r", joint), re.sub("^r", "l", joint),
        } - {joint}  # fmt: skip
        return next((other for other in names if other in other_side), joint)

    return Layout(
        name=name,
        joints=names,
        bones=tuple((names.index(child), names.index(parent)) for child, parent in pairs),
        mirror=tuple(names.index(mirrored(joint)) for joint in names),
    )


NTU25 = _layout(
    "ntu25",
    "SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight "
    "HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight SpineShoulder HandTipLeft "
    "ThumbLeft HandTipRight ThumbRight",
    # The anatomical tree; the modality `bone` uses USDRL's own pairs (`USDRL_BONES`).
    "SpineMid-SpineBase SpineShoulder-SpineMid Neck-SpineShoulder Head-Neck ShoulderLeft-SpineShoulder "
    "ElbowLeft-ShoulderLeft WristLeft-ElbowLeft HandLeft-WristLeft ShoulderRight-SpineShoulder "
    "ElbowRight-ShoulderRight WristRight-ElbowRight HandRight-WristRight HipLeft-SpineBase KneeLeft-HipLeft "
    "AnkleLeft-KneeLeft FootLeft-AnkleLeft HipRight-SpineBase KneeRight-HipRight AnkleRight-KneeRight "
    "FootRight-AnkleRight HandTipLeft-HandLeft ThumbLeft-HandLeft HandTipRight-HandRight ThumbRight-HandRight",
)

KINECT20 = _layout(
    "kinect20",
    "HipCenter Spine ShoulderCenter Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight "
    "WristRight HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight",
    "Spine-HipCenter ShoulderCenter-Spine Head-ShoulderCenter ShoulderLeft-ShoulderCenter ElbowLeft-ShoulderLeft "
    "WristLeft-ElbowLeft HandLeft-WristLeft ShoulderRight-ShoulderCenter ElbowRight-ShoulderRight "
    "WristRight-ElbowRight HandRight-WristRight HipLeft-HipCenter KneeLeft-HipLeft AnkleLeft-KneeLeft "
    "FootLeft-AnkleLeft HipRight-HipCenter KneeRight-HipRight AnkleRight-KneeRight FootRight-AnkleRight",
)

BLAZEPOSE33 = _layout(
    "blazepose33",
    "Nose EyeInnerLeft EyeLeft EyeOuterLeft EyeInnerRight EyeRight EyeOuterRight EarLeft EarRight MouthLeft "
    "MouthRight ShoulderLeft ShoulderRight ElbowLeft ElbowRight WristLeft WristRight PinkyLeft PinkyRight IndexLeft "
    "IndexRight ThumbLeft ThumbRight HipLeft HipRight KneeLeft KneeRight AnkleLeft AnkleRight HeelLeft HeelRight "
    "FootLeft FootRight",
    "ShoulderLeft-ShoulderRight ElbowLeft-ShoulderLeft WristLeft-ElbowLeft PinkyLeft-WristLeft IndexLeft-WristLeft "
    "ThumbLeft-WristLeft ElbowRight-ShoulderRight WristRight-ElbowRight PinkyRight-WristRight IndexRight-WristRight "
    "ThumbRight-WristRight HipLeft-ShoulderLeft HipRight-ShoulderRight HipLeft-HipRight KneeLeft-HipLeft "
    "AnkleLeft-KneeLeft HeelLeft-AnkleLeft FootLeft-HeelLeft KneeRight-HipRight AnkleRight-KneeRight "
    "HeelRight-AnkleRight FootRight-HeelRight",
)

COCO17 = _layout(
    "coco17",
    "Nose EyeLeft EyeRight EarLeft EarRight ShoulderLeft ShoulderRight ElbowLeft ElbowRight WristLeft WristRight "
    "HipLeft HipRight KneeLeft KneeRight AnkleLeft AnkleRight",
    "ShoulderLeft-ShoulderRight ElbowLeft-ShoulderLeft WristLeft-ElbowLeft ElbowRight-ShoulderRight "
    "WristRight-ElbowRight HipLeft-ShoulderLeft HipRight-ShoulderRight HipLeft-HipRight KneeLeft-HipLeft "
    "AnkleLeft-KneeLeft KneeRight-HipRight AnkleRight-KneeRight",
)

SBU15 = _layout(
    "sbu15",
    "Head Neck Torso ShoulderLeft ElbowLeft HandLeft ShoulderRight ElbowRight HandRight HipLeft KneeLeft FootLeft "
    "HipRight KneeRight FootRight",
    "Neck-Torso Head-Neck ShoulderLeft-Neck ElbowLeft-ShoulderLeft HandLeft-ElbowLeft ShoulderRight-Neck "
    "ElbowRight-ShoulderRight HandRight-ElbowRight HipLeft-Torso KneeLeft-HipLeft FootLeft-KneeLeft HipRight-Torso "
    "KneeRight-HipRight FootRight-KneeRight",
)

CMU31 = _layout(
    "cmu31",
    "root lhipjoint lfemur ltibia lfoot ltoes rhipjoint rfemur rtibia rfoot rtoes lowerback upperback thorax lowerneck "
    "upperneck head lclavicle lhumerus lradius lwrist lhand lfingers lthumb rclavicle rhumerus rradius rwrist rhand "
    "rfingers rthumb",
    "lhipjoint-root lfemur-lhipjoint ltibia-lfemur lfoot-ltibia ltoes-lfoot rhipjoint-root rfemur-rhipjoint "
    "rtibia-rfemur rfoot-rtibia rtoes-rfoot lowerback-root upperback-lowerback thorax-upperback lowerneck-thorax "
    "upperneck-lowerneck head-upperneck lclavicle-thorax lhumerus-lclavicle lradius-lhumerus lwrist-lradius "
    "lhand-lwrist lfingers-lhand lthumb-lhand rclavicle-thorax rhumerus-rclavicle rradius-rhumerus rwrist-rradius "
    "rhand-rwrist rfingers-rhand rthumb-rhand",
)

BVH22 = _layout(
    "bvh22",
    "joint_Root Hips Spine Chest Neck Head Shoulder_L UpperArm_L LowerArm_L Hand_L Shoulder_R UpperArm_R LowerArm_R "
    "Hand_R UpperLeg_L LowerLeg_L Foot_L Toes_L UpperLeg_R LowerLeg_R Foot_R Toes_R",
    "Hips-joint_Root Spine-Hips Chest-Spine Neck-Chest Head-Neck Shoulder_L-Chest UpperArm_L-Shoulder_L "
    "LowerArm_L-UpperArm_L Hand_L-LowerArm_L Shoulder_R-Chest UpperArm_R-Shoulder_R LowerArm_R-UpperArm_R "
    "Hand_R-LowerArm_R UpperLeg_L-Hips LowerLeg_L-UpperLeg_L Foot_L-LowerLeg_L Toes_L-Foot_L UpperLeg_R-Hips "
    "LowerLeg_R-UpperLeg_R Foot_R-LowerLeg_R Toes_R-Foot_R",
)

# USDRL's bone modality: joint minus parent over these pairs (child, parent), 1-based in the authors' code. Joint 21's
# parent is itself, so its bone is zero; 23 and 25 (thumbs) hang on the hands (8, 12), the tips on the thumbs.
USDRL_BONES: tuple[tuple[int, int], ...] = tuple(
    (child - 1, parent - 1)
    for child, parent in (
        (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11),
        (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (21, 21), (22, 23), (23, 8),
        (24, 25), (25, 12),
    )
)  # fmt: skip

# The bone modality of COCO17, (child, parent): the tree of the body from the nose down, which is the root and its bone
# therefore zero. The shoulders hang on the nose and the hips on the shoulders, since nothing lies between. (The
# authors' own pairs for 2D leave out an upper arm and the torso, and count the fore-arms and shins twice.)
COCO_BONES: tuple[tuple[int, int], ...] = (
    (0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (7, 5), (8, 6), (9, 7), (10, 8), (11, 5), (12, 6), (13, 11),
    (14, 12), (15, 13), (16, 14),
)  # fmt: skip


def to_ntu25(joints: NDArray[np.floating], layout: Layout) -> Joints:
    """Convert joints (..., V, 3) of any layout, in metres and camera space, to the 25 of NTU RGB+D (..., 25, 3).

    Joints that the layout lacks are placed on the segment between its neighbours (the neck between the shoulders and
    the head, hand tips and thumbs beyond the wrist), at the proportions of NTU RGB+D's own skeletons. A joint derived
    from an unknown (NaN) joint is unknown. COCO17 is planar; its third coordinate passes through untouched.

    Raises ValueError for a layout without a conversion, or joints whose shape is not the layout's.
    """
    if joints.ndim < 2 or joints.shape[-2:] != (len(layout), 3):
        raise ValueError(f"{layout.name} joints must have shape (..., {len(layout)}, 3), not {joints.shape}")
    if layout.name == NTU25.name:
        return np.ascontiguousarray(joints, dtype=np.float32)
    if layout.name not in _CONVERSIONS:
        raise ValueError(f"no conversion from {layout.name} to ntu25; there are {', '.join(sorted(_CONVERSIONS))}")
    at = {name: joints[..., i, :] for i, name in enumerate(layout.joints)}
    converted = _with_derived(_CONVERSIONS[layout.name](at))
    return np.stack([converted[name] for name in NTU25.joints], axis=-2).astype(np.float32)


def mirror_ntu25(joints: Joints) -> Joints:
    """The same people in a mirror: x negated, left and right joints exchanged. Twice is the identity."""
    mirrored = joints[..., list(NTU25.mirror), :].copy()
    mirrored[..., 0] *= -1
    return mirrored


_At = dict[str, NDArray[np.floating]]


def _between(a: NDArray[np.floating], b: NDArray[np.floating], share: float) -> NDArray[np.floating]:
    return a + share * (b - a)


def _with_derived(at: _At) -> _At:
    """Fill in what no layout but NTU's own measures: hands, hand tips and thumbs along the fore-arm."""
    at = dict(at)
    if "Neck" not in at:
        at["Neck"] = _between(at["SpineShoulder"], at["Head"], 0.35)
    if "SpineMid" not in at:
        at["SpineMid"] = _between(at["SpineBase"], at["SpineShoulder"], 0.55)
    for side in ("Left", "Right"):
        elbow, wrist = at[f"Elbow{side}"], at[f"Wrist{side}"]
        at.setdefault(f"Hand{side}", _between(elbow, wrist, 1.3))
        hand = at[f"Hand{side}"]
        at.setdefault(f"HandTip{side}", _between(wrist, hand, 2.0))
        at.setdefault(f"Thumb{side}", _between(wrist, hand, 1.2))
        at.setdefault(f"Foot{side}", at[f"Ankle{side}"])
    return at


_LIMBS = tuple(
    f"{part}{side}" for side in ("Left", "Right") for part in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
)


def _from_kinect20(at: _At) -> _At:
    limbs = {name: at[name] for name in (*_LIMBS, "HandLeft", "HandRight", "FootLeft", "FootRight")}
    # v1's ShoulderCenter sits at the base of the neck, which is where v2 puts SpineShoulder.
    spine = {"SpineBase": at["HipCenter"], "SpineMid": at["Spine"], "SpineShoulder": at["ShoulderCenter"]}
    return {**limbs, **spine, "Head": at["Head"]}


def _from_blazepose33(at: _At) -> _At:
    hips = (at["HipLeft"] + at["HipRight"]) / 2
    shoulders = (at["ShoulderLeft"] + at["ShoulderRight"]) / 2
    ears = (at["EarLeft"] + at["EarRight"]) / 2
    limbs = {name: at[name] for name in (*_LIMBS, "FootLeft", "FootRight")}
    # BlazePose marks the hip sockets' outside and the shoulders' line; Kinect's SpineBase lies a little above the
    # former and its SpineShoulder a little above the latter.
    limbs["SpineBase"] = _between(hips, shoulders, 0.04)
    limbs["SpineShoulder"] = _between(hips, shoulders, 1.04)
    limbs["Head"] = _between(shoulders, ears, 1.15)
    for side in ("Left", "Right"):
        knuckles = (at[f"Index{side}"] + at[f"Pinky{side}"]) / 2
        limbs[f"Hand{side}"] = knuckles
        limbs[f"HandTip{side}"] = _between(at[f"Wrist{side}"], at[f"Index{side}"], 1.6)
        limbs[f"Thumb{side}"] = at[f"Thumb{side}"]
    return limbs


def _from_coco17(at: _At) -> _At:
    limbs = {name: at[name] for name in _LIMBS}
    ears = (at["EarLeft"] + at["EarRight"]) / 2
    base = (at["HipLeft"] + at["HipRight"]) / 2
    shoulder = (at["ShoulderLeft"] + at["ShoulderRight"]) / 2
    return {**limbs, "SpineBase": base, "SpineShoulder": shoulder, "Head": ears}


def _from_sbu15(at: _At) -> _At:
    base = (at["HipLeft"] + at["HipRight"]) / 2
    limbs: _At = {"SpineBase": base, "SpineMid": at["Torso"], "SpineShoulder": at["Neck"], "Head": at["Head"]}
    limbs["Neck"] = _between(at["Neck"], at["Head"], 0.35)
    for side in ("Left", "Right"):
        for part in ("Shoulder", "Elbow", "Hand", "Hip", "Knee", "Foot"):
            limbs[f"{part}{side}"] = at[f"{part}{side}"]
        limbs[f"Wrist{side}"] = _between(at[f"Elbow{side}"], at[f"Hand{side}"], 0.75)
        limbs[f"Ankle{side}"] = _between(at[f"Knee{side}"], at[f"Foot{side}"], 0.9)
    return limbs


def _from_cmu31(at: _At) -> _At:
    limbs: _At = {"SpineBase": at["root"], "SpineMid": at["upperback"], "SpineShoulder": at["lowerneck"]}
    limbs["Neck"], limbs["Head"] = at["upperneck"], at["head"]
    for side, s in (("Left", "l"), ("Right", "r")):
        limbs |= {f"Shoulder{side}": at[f"{s}clavicle"], f"Elbow{side}": at[f"{s}humerus"]}
        limbs |= {f"Wrist{side}": at[f"{s}wrist"], f"Hand{side}": at[f"{s}hand"], f"HandTip{side}": at[f"{s}fingers"]}
        limbs |= {f"Thumb{side}": at[f"{s}thumb"], f"Hip{side}": at[f"{s}hipjoint"], f"Knee{side}": at[f"{s}femur"]}
        limbs |= {f"Ankle{side}": at[f"{s}tibia"], f"Foot{side}": at[f"{s}foot"]}
    return limbs


def _from_bvh22(at: _At) -> _At:
    limbs: _At = {"SpineBase": at["Hips"], "SpineMid": at["Spine"], "SpineShoulder": at["Neck"]}
    limbs["Head"] = _between(at["Neck"], at["Head"], 1.6)
    limbs["Neck"] = _between(at["Neck"], at["Head"], 0.6)
    for side, s in (("Left", "L"), ("Right", "R")):
        limbs |= {f"Shoulder{side}": at[f"UpperArm_{s}"], f"Elbow{side}": at[f"LowerArm_{s}"]}
        limbs |= {
            f"Wrist{side}": at[f"Hand_{s}"],
            f"Hip{side}": at[f"UpperLeg_{s}"],
            f"Knee{side}": at[f"LowerLeg_{s}"],
        }
        limbs |= {f"Ankle{side}": at[f"Foot_{s}"], f"Foot{side}": at[f"Toes_{s}"]}
    return limbs


_CONVERSIONS: dict[str, Callable[[_At], _At]] = {
    KINECT20.name: _from_kinect20,
    BLAZEPOSE33.name: _from_blazepose33,
    COCO17.name: _from_coco17,
    SBU15.name: _from_sbu15,
    CMU31.name: _from_cmu31,
    BVH22.name: _from_bvh22,
}
LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (NTU25, KINECT20, BLAZEPOSE33, COCO17, SBU15, CMU31, BVH22)
}
