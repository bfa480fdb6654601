"""The humanoid that gymnasium's wheel carries, in MuJoCo: fixed at the pelvis to a stand that rolls about, with a neck.

Its file is read where pip has put it, and changed in memory alone: the motors become position servos within the limits
of each joint; a head that turns and tilts takes the place of the fixed one; and, since it is not to balance, its pelvis
is welded to a stand that it steps about with.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .arm import Arm

if TYPE_CHECKING:
    import mujoco

F64 = NDArray[np.float64]

STEP_S = 0.004
_FILE = "envs/mujoco/assets/humanoid.xml"
_TORSO_M = 1.293  # height of the torso when the feet just touch the floor
_NECK = {"neck_pan": ((0, 0, 1), (-70, 70)), "neck_tilt": ((0, 1, 0), (-35, 45))}  # axis; range in degrees
# Stiffness of the servos in N m/rad: legs and waist carry much, arms and neck little.
_STIFFNESS = {"abdomen": 400.0, "hip": 400.0, "knee": 300.0, "shoulder": 60.0, "elbow": 40.0, "neck": 30.0}
# What a view joins to a figure: points on bodies, in their own frames, and the bones between them.
_POINTS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "nose": ("head", (0.11, 0, 0.07)), "head": ("head", (0, 0, 0.07)), "neck": ("torso", (0, 0, 0.1)),
    "waist": ("lwaist", (0, 0, 0)), "pelvis": ("pelvis", (0, 0, 0)),
    "right_shoulder": ("right_upper_arm", (0, 0, 0)), "right_elbow": ("right_lower_arm", (0, 0, 0)),
    "right_hand": ("right_lower_arm", (0.18, 0.18, 0.18)),
    "left_shoulder": ("left_upper_arm", (0, 0, 0)), "left_elbow": ("left_lower_arm", (0, 0, 0)),
    "left_hand": ("left_lower_arm", (0.18, -0.18, 0.18)),
    "right_hip": ("right_thigh", (0, 0, 0)), "right_knee": ("right_shin", (0, 0, 0)),
    "right_foot": ("right_foot", (0, 0, 0.1)),
    "left_hip": ("left_thigh", (0, 0, 0)), "left_knee": ("left_shin", (0, 0, 0)),
    "left_foot": ("left_foot", (0, 0, 0.1)),
}  # fmt: skip
_BONES = (
    ("nose", "head"), ("head", "neck"), ("neck", "waist"), ("waist", "pelvis"),
    ("neck", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_hand"),
    ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_hand"),
    ("pelvis", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_foot"),
    ("pelvis", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_foot"),
)  # fmt: skip
POINTS = tuple(_POINTS)
BONES = tuple((POINTS.index(a), POINTS.index(b)) for a, b in _BONES)


class Humanoid:
    """The body and its physics. ValueError if the humanoid's file is not there, or is no humanoid."""

    def __init__(self) -> None:
        import mujoco

        self._model = _built()
        self._data = mujoco.MjData(self._model)
        self._step = partial(mujoco.mj_step, self._model, self._data)
        joints = [self._model.joint(i) for i in range(self._model.njnt) if self._model.joint(i).name != "root"]
        self.joints = tuple(joint.name for joint in joints)
        self.limits = {joint.name: (float(joint.range[0]), float(joint.range[1])) for joint in joints}
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._actuator = [self._model.actuator(name).id for name in self.joints]
        mujoco.mj_forward(self._model, self._data)
        self.arms = {side: self._arm(side) for side in ("left", "right")}
        self.place(0.0, 0.0, 0.0)

    def place(self, x: float, y: float, yaw: float) -> None:
        """Where the stand is to be: metres from the start, radians to the left."""
        self._data.mocap_pos[0] = (x, y, 0)
        self._data.mocap_quat[0] = (math.cos(yaw / 2), 0, 0, math.sin(yaw / 2))

    def drive(self, angles: Mapping[str, float]) -> None:
        """The angles, in radians, that the servos are to hold; each is kept within its joint's limits."""
        for name, actuator in zip(self.joints, self._actuator, strict=True):
            least, most = self.limits[name]
            self._data.ctrl[actuator] = min(max(angles.get(name, 0.0), least), most)

    def step(self) -> None:
        """`STEP_S` seconds go by."""
        self._step()

    @property
    def angles(self) -> F64:
        """The joints' angles (J,) in the order of `joints`, radians."""
        return np.array(self._data.qpos[self._qpos])

    def points(self) -> F64:
        """Where the points of `POINTS` are, (P, 3) metres."""
        return np.stack([
            self._data.body(body).xpos + self._data.body(body).xmat.reshape(3, 3) @ np.array(at)
            for body, at in _POINTS.values()
        ])  # fmt: skip

    def _arm(self, side: str) -> Arm:
        hinges = [self._model.joint(f"{side}_{name}") for name in ("shoulder1", "shoulder2", "elbow")]
        limits = np.array([hinge.range for hinge in hinges], dtype=np.float64)
        lower = self._model.body(f"{side}_lower_arm")
        return Arm(
            axes=np.array([hinge.axis for hinge in hinges], dtype=np.float64), upper=np.array(lower.pos),
            lower=np.array(self._model.geom(f"{side}_hand").pos), least=limits[:, 0], most=limits[:, 1],
        )  # fmt: skip


def _file() -> Path:
    spec = importlib.util.find_spec("gymnasium")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders or not (path := Path(folders[0]) / _FILE).is_file():
        raise ValueError("gymnasium, whose wheel carries the humanoid, is not there; pip install 'skelstream[robot]'")
    return path


def _built() -> mujoco.MjModel:
    import mujoco

    spec = mujoco.MjSpec.from_file(str(_file()))
    spec.option.timestep = STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # stiff servos want it
    torso = spec.body("torso")
    torso.pos = (0, 0, _TORSO_M)
    spec.delete(spec.geom("head"))
    head = torso.add_body(name="head", pos=(0, 0, 0.12))
    for name, (axis, limits) in _NECK.items():
        head.add_joint(name=name, axis=axis, range=limits, damping=1, armature=0.01)
    head.add_geom(name="head", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.09, 0, 0), pos=(0, 0, 0.07))
    for motor in list(spec.actuators):
        spec.delete(motor)
    for joint in spec.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_HINGE:
            servo = spec.add_actuator(name=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint.name)
            kind = next(kind for kind in _STIFFNESS if kind in joint.name)
            servo.set_to_position(kp=_STIFFNESS[kind], dampratio=1.0)
            servo.ctrllimited = mujoco.mjtLimited.mjLIMITED_FALSE  # `drive` keeps to the joint's own limits
    for geom in spec.geoms:  # its limbs may pass through one another: nothing is to be learnt about touch
        geom.contype = geom.conaffinity = 0
    spec.worldbody.add_body(name="stand", mocap=True)
    weld = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name1="stand", name2="pelvis"
    )
    weld.solref = (0.02, 1)
    weld.data[:] = 0  # they keep to one another as they lie at the start ...
    weld.data[10] = 1.0  # ... as stiffly in turning as in moving
    return spec.compile()
