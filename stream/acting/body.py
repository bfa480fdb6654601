"""The actor's body: limbs of fixed lengths, and where its 25 joints are for given controls.

The controls (see `motion.STAND`) drive the trunk by angles, arms and legs by two-bone inverse kinematics, so that hands
arrive where they should and feet stay where they stand. Limb lengths follow Drillis and Contini's body segment ratios
(Winter, Biomechanics and Motor Control, fig. 4.1).

A vector is (right, up, forward) from the body, or for a limb (out, up, forward), in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25
from .place import Foot, Room, Root

F64 = NDArray[np.float64]

_ARM = ("Elbow", "Wrist", "Hand", "HandTip", "Thumb")
_DOWN, _FORWARD = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Body:
    """Limb lengths in metres, and what a person keeps through a script: the pace, the stronger hand, the stance."""

    height: float
    hip_half: float
    hip_drop: float
    thigh: float
    shank: float
    ankle: float
    toes: float
    lower_spine: float
    upper_spine: float
    neck: float
    head: float
    shoulder_half: float
    shoulder_drop: float
    upper_arm: float
    fore_arm: float
    palm: float
    floor_y: float
    pace: float
    hand: str
    stance: dict[str, float]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Body:
        """A random person; one in four is a child, whose head is larger and whose legs are shorter for the height."""
        child = rng.random() < 0.25
        height = float(rng.uniform(1.12, 1.45) if child else np.clip(rng.normal(1.70, 0.095), 1.50, 1.88))

        def part(ratio: float) -> float:
            return height * ratio * float(np.clip(rng.normal(1.0, 0.03), 0.94, 1.06))

        return cls(
            height=height,
            hip_half=part(0.05),
            hip_drop=part(0.022),
            thigh=part(0.234 if child else 0.245),
            shank=part(0.226 if child else 0.236),
            ankle=part(0.045),
            toes=part(0.085),
            lower_spine=part(0.15),
            upper_spine=part(0.125),
            neck=part(0.04),
            head=part(0.085 if child else 0.075),
            shoulder_half=part(0.112 if child else 0.108),
            shoulder_drop=part(0.025),
            upper_arm=part(0.172),
            fore_arm=part(0.146),
            palm=part(0.048),
            floor_y=-float(rng.uniform(0.92, 1.05)),
            pace=float(rng.uniform(0.88, 1.12)) * (1.06 if child else 1.0),
            hand="r" if rng.random() < 0.85 else "l",
            stance={"half_width": part(float(rng.uniform(0.055, 0.08))), "toe_out": float(rng.uniform(0.05, 0.25))},
        )

    @property
    def arm(self) -> float:
        return self.upper_arm + self.fore_arm

    @property
    def leg(self) -> float:
        return self.thigh + self.shank

    @property
    def standing(self) -> float:
        """The pelvis above the floor: knees all but straight."""
        return self.ankle + 0.993 * self.leg + self.hip_drop

    @property
    def room(self) -> Room:
        """As near as 2 m where the floor before the feet and a raised hand still fit into the picture."""
        half_height = math.tan(math.radians(23.4))
        raised = 1.27 * self.height + self.floor_y
        near = max(2.0, -self.floor_y / half_height + 0.2 * self.height, raised / half_height)
        return Room(near, max(3.5, near + 0.4), 0.56 * self.height)

    def joints(self, controls: dict[str, list[float]], root: Root, foot_l: Foot, foot_r: Foot) -> NDArray[np.float32]:
        """Forward kinematics: controls, and the feet in the room, to joints_VC in camera space."""
        at: dict[str, F64] = {}
        lean, curl, tilt, twist = controls["trunk"]
        feet = {"Left": (foot_l, controls["foot_l"], -1.0), "Right": (foot_r, controls["foot_r"], 1.0)}
        for side, (foot, offset, sign) in feet.items():
            at[f"Ankle{side}"], at[f"Foot{side}"] = self._foot(root, foot, offset, sign)

        pelvis = _turned(0.4 * lean, 0.3 * tilt, 0.25 * twist)
        hips = {
            side: pelvis @ np.array([sign * self.hip_half, -self.hip_drop, 0.0]) for side, (*_, sign) in feet.items()
        }
        at["SpineBase"] = self._spine_base(controls["pelvis"], lean, hips, at)
        for side, (foot, _, sign) in feet.items():
            at[f"Hip{side}"] = at["SpineBase"] + hips[side]
            # A lifted foot may aim farther than the leg is long; it then stays on the way there.
            way = at[f"Hip{side}"] - at[f"Ankle{side}"]
            missing = max(0.0, 1.0 - 0.998 * self.leg / math.sqrt(way @ way)) * way
            at[f"Ankle{side}"], at[f"Foot{side}"] = at[f"Ankle{side}"] + missing, at[f"Foot{side}"] + missing
            knee_out = 0.1 * sign + 0.5 * (foot.yaw - root.yaw)
            at[f"Knee{side}"] = self._knee(at[f"Hip{side}"], at[f"Ankle{side}"], knee_out)

        chest = _turned(lean + curl, tilt, twist)
        head = _turned(lean + curl + controls["head"][0], tilt + controls["head"][2], twist + controls["head"][1])
        lower, neck = _turned(0.85 * lean, 0.6 * tilt, 0.4 * twist), 0.5 * (chest[:, 1] + head[:, 1])
        at["SpineMid"] = at["SpineBase"] + self.lower_spine * lower[:, 1]
        at["SpineShoulder"] = at["SpineMid"] + self.upper_spine * chest[:, 1]
        at["Neck"] = at["SpineShoulder"] + self.neck * _unit(neck)
        at["Head"] = at["Neck"] + self.head * _unit(head[:, 1] + 0.2 * head[:, 2])
        for side, sign in (("Left", -1.0), ("Right", 1.0)):
            arm = controls["arm_l" if side == "Left" else "arm_r"]
            upright = 1.0 - arm[7]
            frame = _turned(upright * (lean + curl), upright * tilt, twist) * np.array([sign, 1.0, 1.0])
            shoulder = at["SpineShoulder"] + chest @ np.array([sign * self.shoulder_half, -self.shoulder_drop, 0.0])
            at[f"Shoulder{side}"] = shoulder
            for joint, place in zip(_ARM, shoulder + self._arm(arm) @ frame.T, strict=True):
                at[f"{joint}{side}"] = place

        body = np.concatenate([at[name] for name in NTU25.joints]).reshape(-1, 3)
        c, s = math.cos(root.yaw), math.sin(root.yaw)
        to_camera = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [s, 0.0, -c]])
        joints: NDArray[np.float32] = (body @ to_camera.T + np.array([root.x, self.floor_y, root.z])).astype(np.float32)
        return joints

    def _foot(self, root: Root, foot: Foot, offset: list[float], sign: float) -> tuple[F64, F64]:
        """Ankle and toes (right, up, forward) from the root's floor point. The heel lifts about the toes."""
        out, up, forward, heel = offset
        c, s = math.cos(root.yaw), math.sin(root.yaw)
        dx, dz = foot.x - root.x, foot.z - root.z
        right, ahead = dx * c + dz * s + sign * out * self.height, dx * s - dz * c + forward * self.height
        along = np.array([math.sin(foot.yaw - root.yaw), 0.0, math.cos(foot.yaw - root.yaw)])
        sole = 0.4 * self.ankle
        toes = np.array([right, foot.up + up * self.height + sole, ahead]) + self.toes * along
        lift, rise = foot.heel + heel, self.ankle - sole
        ankle = toes + (rise * math.sin(lift) - self.toes * math.cos(lift)) * along
        ankle[1] += rise * math.cos(lift) + self.toes * math.sin(lift)
        return ankle, toes

    def _spine_base(self, pelvis: list[float], lean: float, hips: dict[str, F64], at: dict[str, F64]) -> F64:
        """The pelvis at its wished height, or as high as the standing legs reach. A lean forward moves it back."""
        right, up, forward = (share * self.height for share in pelvis)
        base = np.array([right, 0.0, forward - 0.1 * self.height * math.sin(lean)])
        heights = [self.standing + up]
        for side, hip in hips.items():
            dx, rise, dz = (base + hip - at[f"Ankle{side}"]).tolist()  # base has no height yet
            high = math.sqrt(max((0.998 * self.leg) ** 2 - dx * dx - dz * dz, (0.3 * self.leg) ** 2))
            lifted = max(0.0, float(at[f"Foot{side}"][1]) - 0.4 * self.ankle)
            heights.append(high - rise + 8 * lifted)
        # A soft minimum: the knees do not snap when a leg becomes the one that limits.
        lowest, soft = min(heights), 0.006
        base[1] = lowest - soft * math.log(sum(math.exp((lowest - height) / soft) for height in heights))
        return base

    def _knee(self, hip: F64, ankle: F64, knee_out: float) -> F64:
        way = ankle - hip
        direction = _unit(way)
        # The knee points forward under a hanging leg, and up before a sitting one.
        bend = _carried(_DOWN, direction, np.array([math.sin(knee_out), 0.0, math.cos(knee_out)]))
        along, aside = _two_bones(self.thigh, self.shank, math.sqrt(way @ way))
        return hip + along * direction + aside * bend

    def _arm(self, arm: list[float]) -> F64:
        """Where the joints `_ARM` are from the shoulder: (5, 3) out, up, forward."""
        direction, reach = _unit(np.array(arm[:3])), arm[3] * self.arm
        swivel, roll, flex = arm[4:7]
        # Under an arm that is stretched forward the elbow points down; other directions follow by the shortest turn.
        elbow_way = np.array([math.sin(swivel), -math.cos(swivel), 0.0])
        bend = _carried(_FORWARD, direction, elbow_way)
        reach = min(max(reach, 0.3 * self.arm), 0.995 * self.arm)
        along, aside = _two_bones(self.upper_arm, self.fore_arm, reach)
        elbow, wrist = along * direction + aside * bend, reach * direction
        fore = (wrist - elbow) / self.fore_arm
        outer = _cross(direction, bend)
        upper = _cross(fore, outer)
        thumb_way = math.cos(roll) * upper - math.sin(roll) * outer
        palm_way = -math.cos(roll) * outer - math.sin(roll) * upper
        hand_way = math.cos(flex) * fore + math.sin(flex) * palm_way
        hand = wrist + self.palm * hand_way
        tip = hand + 0.9 * self.palm * hand_way
        thumb = hand + 0.1 * self.palm * hand_way + 0.6 * self.palm * thumb_way
        return np.concatenate([elbow, wrist, hand, tip, thumb]).reshape(-1, 3)


def _unit(v: F64) -> F64:
    return v / math.sqrt(v @ v)


def _cross(a: F64, b: F64) -> F64:
    """numpy's own takes ten times as long for two vectors of three."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _turned(lean: float, tilt: float, twist: float) -> F64:
    """The axes (columns right, up, forward) of something leant forward, then tilted and twisted to the right."""
    cl, ct, cw = math.cos(lean), math.cos(tilt), math.cos(twist)
    sl, st, sw = math.sin(lean), math.sin(tilt), math.sin(twist)
    # The product of three turns: twist about up, tilt about forward, lean about right, the last one first.
    return np.array(
        [
            [cw * ct, cw * st * cl + sw * sl, sw * cl - cw * st * sl],
            [-st, ct * cl, -ct * sl],
            [-sw * ct, cw * sl - sw * st * cl, sw * st * sl + cw * cl],
        ]
    )


def _carried(origin: F64, direction: F64, v: F64) -> F64:
    """v after the shortest turn that takes the unit vector `origin` to `direction` (Rodrigues); not for opposites."""
    both = origin + direction
    carried: F64 = v + 2 * (origin @ v) * direction - (both @ v) / (1.0 + origin @ direction) * both
    return carried


def _two_bones(upper: float, lower: float, reach: float) -> tuple[float, float]:
    """Where the middle joint of two bones lies: along the line between their ends, and aside of it (law of cosines)."""
    reach = max(reach, abs(upper - lower) + 0.02 * (upper + lower))
    along = (upper * upper - lower * lower + reach * reach) / (2 * reach)
    return along, math.sqrt(max(upper * upper - along * along, 0.0))
