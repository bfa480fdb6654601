"""Draw people from their joints, so well that a pose estimator finds them: the picture side of the `actor` and
`skeletons:FILE` cameras, and of training sequences that are to pass through the very pose estimator of the live path.

A body is a set of balls (joints and a few points between them, with a thickness in metres). A limb is the hull of two
balls, a chest that of seven; each is filled four times, smaller, lighter and a little nearer to the lamp each time,
which reads as a round thing. The head is an ellipsoid in space with a face on its surface, so it may be seen from any
side. What is far is painted first.

    view = View.framing(joints_TV, width=640, height=480)
    backdrop = background(seed=1, width=640, height=480)
    image = draw_scene([(joints_TV[0], Look())], view, backdrop)

Shapes: T frame, V joint (25 of NTU RGB+D), P points on an outline, N balls, L layers of shade, 3 coordinates in metres,
2 pixels. Space is Kinect's: x to the camera's left, y up, z away from the camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import NTU25

F64 = NDArray[np.float64]
Image = NDArray[np.uint8]
Colour = tuple[int, int, int]  # BGR

NEAR_M = 0.5  # a joint nearer to the camera than this, or behind it, is not drawn: Kinect sees none there either

_SUBPIXEL_BITS = 4  # OpenCV's polygons take fixed-point corners
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 18, endpoint=False)) for f in (np.cos, np.sin)], axis=-1)
_TO_LAMP = np.array([-0.45, -0.75])  # in the picture: the lamp hangs up and to the left
_LAYER_SIZE = np.array([1.0, 0.84, 0.64, 0.38])
_LAYER_LIGHT = (0.66, 0.86, 1.0, 1.1)


@dataclass(frozen=True, kw_only=True)
class View:
    """A pinhole camera in Kinect's space: at `position` (metres), turned by `yaw` about the vertical towards +x and
    by `pitch` upwards (radians). By default it is the Kinect itself.

    ValueError for a picture without pixels or a field of view outside 0..180 degrees.
    """

    width: int
    height: int
    horizontal_fov_deg: float = 60.0
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture has at least one pixel each way, not {self.width}x{self.height}")
        if not 0 < self.horizontal_fov_deg < 180:
            raise ValueError(f"horizontal_fov_deg lies between 0 and 180, not {self.horizontal_fov_deg}")

    @property
    def focal_px(self) -> float:
        return self.width / 2 / float(np.tan(np.radians(self.horizontal_fov_deg) / 2))

    def to_camera(self, joints: NDArray[np.floating]) -> F64:
        """Points (..., 3) in this camera's own space: x to its left, y up, z along its line of sight."""
        return (np.asarray(joints, dtype=np.float64) - self.position) @ _axes(self.yaw, self.pitch).T

    def project(self, joints: NDArray[np.floating]) -> F64:
        """Points (..., 3) in metres as pixels (..., 2); NaN where a point is unknown or not in front of the camera."""
        return self._pixels(self.to_camera(joints))

    def _pixels(self, camera: F64) -> F64:
        z = np.where(camera[..., 2] > 0, camera[..., 2], np.nan)
        u = self.width / 2 - self.focal_px * camera[..., 0] / z
        v = self.height / 2 - self.focal_px * camera[..., 1] / z
        return np.stack([u, v], axis=-1)

    @classmethod
    def framing(
        cls, joints: NDArray[np.floating], *, width: int, height: int, rng: np.random.Generator | None = None
    ) -> Self:
        """A camera that keeps the people (..., 25, 3) of a whole sequence in the picture, from hair to shoes.

        They stand 70 % of the picture high, less where they move about much. With `rng` the camera also varies: up to
        30 degrees to either side, from a little below to a little above, nearer and farther (55 to 80 %).

        ValueError where nobody has more than half of the joints.
        """
        people = np.asarray(joints, dtype=np.float64).reshape(-1, len(NTU25), 3)
        people = np.where(_known(people)[..., None], people, np.nan)
        people = people[np.isfinite(people).all(-1).sum(-1) > len(NTU25) // 2]
        if not len(people):
            raise ValueError(
                "no person to frame: give joints (..., 25, 3) of which more than half are known and not zero"
            )
        yaw, pitch, target, fov = 0.0, 0.0, 0.7, cls.horizontal_fov_deg
        if rng is not None:
            yaw, pitch = np.radians(rng.uniform(-30, 30)), np.radians(rng.uniform(-14, 5))
            target, fov = rng.uniform(0.55, 0.8), rng.uniform(50, 70)
        # Hair and soles reach farther than the joints do.
        up = people[:, [_HEAD]] - people[:, [_SHOULDERS]]
        soles = people[:, [_ANKLE_LEFT, _ANKLE_RIGHT]] - 0.3 * np.linalg.norm(up, axis=-1, keepdims=True) * [0, 1, 0]
        people = np.concatenate([people, people[:, [_HEAD]] + 0.6 * up, soles], axis=1)
        axes = _axes(yaw, pitch)
        centre, distance = np.nanmedian(people.reshape(-1, 3), axis=0), 3.0
        for _ in range(12):
            view = cls(
                width=width, height=height, horizontal_fov_deg=fov, yaw=yaw, pitch=pitch,
                position=tuple((centre - distance * axes[2]).tolist()),
            )  # fmt: skip
            camera = view.to_camera(people)
            if np.mean(camera[..., 2] < NEAR_M) > 0.001:  # somebody stands behind the camera
                distance *= 1.5
                continue
            pixels = view._pixels(camera) / (width, height)
            low_T2, high_T2 = np.nanmin(pixels, axis=1), np.nanmax(pixels, axis=1)
            # A joint that goes wild for a moment must not send the camera away.
            low, high = np.quantile(low_T2, 0.01, axis=0), np.quantile(high_T2, 0.99, axis=0)
            tall = np.quantile(high_T2[:, 1] - low_T2[:, 1], 0.8)
            error = (low + high) / 2 - 0.5
            metres = distance * width / view.focal_px
            centre = centre - error[0] * metres * axes[0] - error[1] * metres * height / width * axes[1]
            distance *= float(max((high - low).max() / 0.9, tall / target))
        return view


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a person looks. Colours are BGR; `build` scales the thickness of trunk and limbs."""

    skin: Colour = (150, 180, 225)
    hair: Colour = (35, 50, 70)
    shirt: Colour = (170, 95, 50)
    trousers: Colour = (90, 70, 60)
    shoes: Colour = (50, 45, 45)
    build: float = 1.0
    head: float = 1.0
    long_hair: bool = False
    long_sleeves: bool = False
    shorts: bool = False

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        """Somebody: clothes in any colour, skin and hair in those that people have."""
        skin = _SKINS[rng.integers(len(_SKINS))]
        hair = _HAIRS[rng.integers(len(_HAIRS))]
        return cls(
            skin=skin,
            hair=hair,
            shirt=_hsv(rng.uniform(0, 180), rng.uniform(30, 220), rng.uniform(90, 235)),
            trousers=_hsv(rng.choice([15, 105, 115, rng.uniform(0, 180)]), rng.uniform(10, 130), rng.uniform(45, 150)),
            shoes=_hsv(rng.uniform(0, 180), rng.uniform(0, 90), rng.choice([45, 60, 90, 210])),
            build=float(rng.uniform(0.88, 1.2)),
            head=float(rng.uniform(0.94, 1.08)),
            long_hair=bool(rng.random() < 0.35),
            long_sleeves=bool(rng.random() < 0.5),
            shorts=bool(rng.random() < 0.25),
        )


def background(seed: int, width: int, height: int) -> Image:
    """An empty place (height, width, 3) uint8 BGR, one of several kinds; the same for the same seed. Make it once."""
    rng = np.random.default_rng(seed)
    paint = (_room, _room, _studio, _outdoors)[rng.integers(4)]
    image = paint(rng, width, height)
    blotches = cv2.resize(rng.normal(0, 5, (6, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 2, (height, width)).astype(np.float32)
    return np.asarray((image + (blotches + grain)[..., None]).clip(0, 255), dtype=np.uint8)


def draw_scene(people: Sequence[tuple[NDArray[np.floating], Look]], view: View, backdrop: NDArray[np.uint8]) -> Image:
    """A picture of people (joints (25, 3) in metres, look) before a backdrop, which is left as it is; far ones first.

    ValueError where the backdrop has not the view's size.
    """
    if backdrop.shape != (view.height, view.width, 3):
        raise ValueError(f"the backdrop is {backdrop.shape}; the view needs {(view.height, view.width, 3)}")
    image = backdrop.copy()

    def depth(person: tuple[NDArray[np.floating], Look]) -> float:
        z = view.to_camera(person[0][_known(person[0])])[:, 2]
        return float(np.median(z)) if len(z) else np.inf

    for joints, look in sorted(people, key=depth, reverse=True):
        draw_person(image, joints, view, look)
    return image


def draw_person(image: Image, joints: NDArray[np.floating], view: View, look: Look) -> None:
    """Draw one person, joints (25, 3) in metres, into the picture (view.height, view.width, 3) uint8 BGR.

    A joint that is not finite, exactly zero or not in front of the camera is missing, and so is every limb that needs
    it; without a single whole bone nothing is drawn. ValueError for joints of another shape.
    """
    if joints.shape != (len(NTU25), 3):
        raise ValueError(f"a person to draw is joints (25, 3), not {joints.shape}")
    camera = view.to_camera(np.where(_known(joints)[:, None], joints, np.nan))
    camera[~(camera[:, 2] > NEAR_M)] = np.nan
    size = _body_size(camera)
    if not np.isfinite(size):
        return
    parts = sorted(_Body(camera, size, look).parts(), key=lambda part: part.depth, reverse=True)
    _paint(image, view, parts)


# The body ------------------------------------------------------------------------------------------------------------

_HEAD, _NECK = NTU25.index("Head"), NTU25.index("Neck")
_SHOULDERS, _BASE = NTU25.index("SpineShoulder"), NTU25.index("SpineBase")
_SHOULDER_LEFT, _SHOULDER_RIGHT = NTU25.index("ShoulderLeft"), NTU25.index("ShoulderRight")
_HIP_LEFT, _HIP_RIGHT = NTU25.index("HipLeft"), NTU25.index("HipRight")
_ANKLE_LEFT, _ANKLE_RIGHT = NTU25.index("AnkleLeft"), NTU25.index("AnkleRight")
_ARMS = tuple(
    tuple(NTU25.index(f"{n}{side}") for n in ("Shoulder", "Elbow", "Wrist", "Hand")) for side in ("Left", "Right")
)
_LEGS = tuple(tuple(NTU25.index(f"{n}{side}") for n in ("Hip", "Knee", "Ankle", "Foot")) for side in ("Left", "Right"))

# Bones of an adult of 1.75 m as Kinect measures them: their ratio to a person's own is the person's size.
_ADULT_BONES_M: tuple[tuple[str, str, float], ...] = (
    ("SpineBase", "SpineShoulder", 0.52),
    ("ShoulderLeft", "ElbowLeft", 0.28),
    ("ShoulderRight", "ElbowRight", 0.28),
    ("ElbowLeft", "WristLeft", 0.25),
    ("ElbowRight", "WristRight", 0.25),
    ("HipLeft", "KneeLeft", 0.40),
    ("HipRight", "KneeRight", 0.40),
    ("KneeLeft", "AnkleLeft", 0.38),
    ("KneeRight", "AnkleRight", 0.38),
)
_BONE_A = [NTU25.index(a) for a, _, _ in _ADULT_BONES_M]
_BONE_B = [NTU25.index(b) for _, b, _ in _ADULT_BONES_M]
_BONE_M = np.array([length for _, _, length in _ADULT_BONES_M])


def _known(joints: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints (...,) of (..., 3) are measured: recorders write zeros where they saw nothing."""
    return np.asarray(np.isfinite(joints).all(-1) & (joints != 0).any(-1))


def _body_size(camera: F64) -> float:
    """The person's size, 1 for an adult of 1.75 m; NaN without one whole bone."""
    ratios = np.linalg.norm(camera[_BONE_A] - camera[_BONE_B], axis=-1) / _BONE_M
    ratios = ratios[np.isfinite(ratios)]
    return float(np.clip(np.median(ratios), 0.35, 1.3)) if len(ratios) else float("nan")


def _unit(vector: F64, otherwise: F64) -> F64:
    length = float(np.sqrt(vector @ vector))
    return vector / length if length > 1e-6 else otherwise  # NaN compares false


Ball = tuple[F64, float]  # centre (3,) in the camera's space, radius in metres


@dataclass(kw_only=True)
class _Part:
    """What is painted at one depth: hulls of balls in a colour each, those of one colour in a row layer by layer, so
    that they grow together; then flat outlines (P, 3) in the camera's space on top of them (a head)."""

    depth: float
    hulls: list[tuple[list[Ball], Colour]]
    flats: list[tuple[F64, Colour]] = field(default_factory=list)


def _paint(image: Image, view: View, parts: list[_Part]) -> None:
    """Paint parts, in their order. The corners of all are computed at once: numpy is slow in small portions."""
    balls = [ball for part in parts for hull, _ in part.hulls for ball in hull]
    centre_N3 = np.array([centre for centre, _ in balls]).reshape(-1, 3)
    radius_N = np.maximum(view.focal_px * np.array([r for _, r in balls]) / centre_N3[:, 2], 1.0)
    size_NL = radius_N[:, None] * _LAYER_SIZE
    middle_NL2 = view._pixels(centre_N3)[:, None] + (radius_N[:, None] - size_NL)[..., None] * 0.5 * _TO_LAMP
    rim_LNP2 = _fixed((middle_NL2[:, :, None] + size_NL[..., None, None] * _CIRCLE).swapaxes(0, 1), image)
    outlines = [outline for part in parts for outline, _ in part.flats]
    corners = _fixed(view._pixels(np.concatenate([*outlines, np.zeros((0, 3))])), image)
    ball = corner = 0
    for part in parts:
        for colour, cloth in groupby(part.hulls, key=lambda hull: hull[1]):
            first, counts = ball, [len(hull) for hull, _ in cloth]
            for rim_NP2, light in zip(rim_LNP2, _LAYER_LIGHT, strict=True):
                ball = first
                for count in counts:
                    _fill(image, rim_NP2[ball : ball + count].reshape(-1, 2), _lit(colour, light))
                    ball += count
        for outline, colour in part.flats:
            _fill(image, corners[corner : corner + len(outline)], colour)
            corner += len(outline)


class _Body:
    """The parts of one person; joints in the camera's own space."""

    def __init__(self, camera: F64, size: float, look: Look) -> None:
        self.at = camera
        self.size = size
        self.thick = size * look.build
        self.look = look
        across = self._across()
        upright = camera[_SHOULDERS] - camera[_BASE]
        self.up = _unit(upright, np.array([0.0, 1.0, 0.0]))
        self.right = _unit(across - (across @ self.up) * self.up, np.array([1.0, 0.0, 0.0]))
        self.front = _cross(self.up, self.right)
        trunk_z = camera[[_BASE, _SHOULDERS, _HIP_LEFT, _HIP_RIGHT, _SHOULDER_LEFT, _SHOULDER_RIGHT], 2]
        self.trunk_z = float(np.nanmean(trunk_z)) if np.isfinite(trunk_z).any() else float(np.nanmean(camera[:, 2]))

    def _across(self) -> F64:
        """From the person's left to the right: shoulders count for more, as they lie farther apart."""
        shoulders = self.at[_SHOULDER_RIGHT] - self.at[_SHOULDER_LEFT]
        hips = self.at[_HIP_RIGHT] - self.at[_HIP_LEFT]
        pairs = [pair for pair in (shoulders, hips) if np.isfinite(pair).all()]
        return np.asarray(sum(pairs, np.zeros(3)))

    def parts(self) -> Iterator[_Part]:
        for leg in _LEGS:
            yield from self._leg(*leg)
        for arm in _ARMS:
            yield from self._arm(*arm)
        yield from self._trunk()
        yield from self._head()

    def _balls(self, *pairs: tuple[F64, float]) -> list[Ball]:
        return [(centre, radius) for centre, radius in pairs if np.isfinite(centre).all()]

    def _leg(self, hip: int, knee: int, ankle: int, foot: int) -> Iterator[_Part]:
        at, r, look = self.at, self.thick, self.look
        hulls: list[tuple[list[Ball], Colour]] = []
        whole_shin = np.isfinite(at[[knee, ankle]]).all()
        if np.isfinite(at[[hip, knee]]).all():
            hulls.append(([(at[hip], 0.08 * r), (at[knee], 0.058 * r)], look.trousers))
        if whole_shin:
            calf = at[knee] + 0.3 * (at[ankle] - at[knee])
            if look.shorts:
                hulls.insert(0, ([(at[knee], 0.05 * r), (calf, 0.054 * r)], look.skin))
                hulls.insert(0, ([(calf, 0.054 * r), (at[ankle], 0.036 * r)], look.skin))
            else:
                hulls.append(([(at[knee], 0.06 * r), (calf, 0.058 * r)], look.trousers))
                hulls.append(([(calf, 0.058 * r), (at[ankle], 0.045 * r)], look.trousers))
            shin = _unit(at[ankle] - at[knee], -self.up)
            toes = at[foot] - at[ankle] if np.isfinite(at[foot]).all() else np.zeros(3)
            # The measured foot is short and shaky; the body's own front steadies it.
            toes = toes + 0.08 * self.size * self.front
            toes = _unit(toes - 0.7 * (toes @ shin) * shin, self.front)
            sole = at[ankle] + 0.045 * self.size * shin
            heel = (sole - 0.035 * self.size * toes, 0.04 * self.size)
            ball = (sole + 0.10 * self.size * toes, 0.043 * self.size)
            tip = (sole + 0.155 * self.size * toes, 0.03 * self.size)
            hulls.insert(0, ([heel, (at[ankle], 0.036 * self.size), ball, tip], look.shoes))
        if hulls:
            depth = float(np.mean([centre[2] for hull, _ in hulls for centre, _ in hull]))
            if not at[knee][2] < at[hip][2] - 0.2 * self.size:
                # Not lifted towards the camera, so the trousers go under the shirt, the nearer leg before the other.
                depth = self.trunk_z + 0.06 * self.size + 0.1 * (depth - self.trunk_z)
            yield _Part(depth=depth, hulls=hulls)

    def _arm(self, shoulder: int, elbow: int, wrist: int, hand: int) -> Iterator[_Part]:
        at, r, look = self.at, self.thick, self.look
        upper, lower = np.isfinite(at[[shoulder, elbow]]).all(), np.isfinite(at[[elbow, wrist]]).all()
        hulls: list[tuple[list[Ball], Colour]] = []
        if lower:
            forearm = _unit(at[wrist] - at[elbow], -self.up)
            hulls += self._hand(wrist, hand, forearm)
            colour = look.shirt if look.long_sleeves else look.skin
            bulge = at[elbow] + 0.3 * (at[wrist] - at[elbow])
            hulls.append(([(at[elbow], 0.04 * r), (bulge, 0.042 * r)], colour))
            hulls.append(([(bulge, 0.042 * r), (at[wrist], 0.03 * r)], colour))
        if upper:
            if look.long_sleeves:
                hulls.append(([(at[shoulder], 0.058 * r), (at[elbow], 0.043 * r)], look.shirt))
            else:
                hem = at[shoulder] + 0.6 * (at[elbow] - at[shoulder])
                hulls.append(([(hem, 0.044 * r), (at[elbow], 0.04 * r)], look.skin))
                hulls.append(([(at[shoulder], 0.058 * r), (hem, 0.053 * r)], look.shirt))
        if hulls:
            depth = np.mean([c[2] for hull, _ in hulls for c, _ in hull]) - 0.08 * self.size
            yield _Part(depth=float(depth), hulls=hulls)

    def _hand(self, wrist: int, hand: int, forearm: F64) -> list[tuple[list[Ball], Colour]]:
        at, s = self.at, self.size
        reach = at[hand] - at[wrist] if np.isfinite(at[hand]).all() else np.zeros(3)
        # A measured hand trembles about the wrist; the fore-arm steadies it.
        along = _unit(reach + 0.06 * s * forearm, forearm)
        palm = at[wrist] + 0.075 * s * along
        inward = self.front - (self.front @ along) * along
        fingers = [(at[wrist], 0.028 * s), (palm, 0.04 * s), (at[wrist] + 0.155 * s * along, 0.02 * s)]
        nail = palm + 0.05 * s * _unit(inward, self.up) + 0.03 * s * along
        return [
            (fingers, self.look.skin),
            ([(at[wrist] + 0.02 * s * along, 0.024 * s), (nail, 0.015 * s)], self.look.skin),
        ]

    def _trunk(self) -> Iterator[_Part]:
        at, r, look = self.at, self.thick, self.look
        shoulders, hips = at[[_SHOULDER_LEFT, _SHOULDER_RIGHT]], at[[_HIP_LEFT, _HIP_RIGHT]]
        hulls: list[tuple[list[Ball], Colour]] = []
        pelvis = self._balls((hips[0], 0.082 * r), (hips[1], 0.082 * r), (at[_BASE], 0.09 * r))
        if np.isfinite(hips).all():  # the seat of the trousers lies behind the legs, which go under the shirt
            yield _Part(depth=self.trunk_z + 0.12 * self.size, hulls=[(pelvis, look.trousers)])
        if np.isfinite(shoulders).all() and np.isfinite(hips).all():
            middle_hips = hips.mean(0)

            def level(share: float, width: float) -> F64:
                middle = at[_SHOULDERS] if np.isfinite(at[_SHOULDERS]).all() else shoulders.mean(0)
                centre = middle + share * (middle_hips - middle)
                half = (1 - share) * (shoulders[1] - shoulders[0]) / 2 + share * (hips[1] - hips[0]) / 2
                return np.stack([centre - width * half, centre + width * half])

            chest, waist, hem = level(0.3, 0.72), level(0.62, 0.72), level(0.88, 1.0)
            neck = at[_SHOULDERS] - 0.01 * self.size * self.up
            upper = self._balls(
                (shoulders[0], 0.055 * r), (shoulders[1], 0.055 * r), (neck, 0.045 * r),
                (chest[0], 0.09 * r), (chest[1], 0.09 * r), (waist[0], 0.085 * r), (waist[1], 0.085 * r),
            )  # fmt: skip
            lower = self._balls((waist[0], 0.085 * r), (waist[1], 0.085 * r), (hem[0], 0.084 * r), (hem[1], 0.084 * r))
            hulls += [(lower, look.shirt), (upper, look.shirt)]
        if hulls:
            yield _Part(depth=self.trunk_z, hulls=hulls)

    def _head(self) -> Iterator[_Part]:
        at, look = self.at, self.look
        base = at[_SHOULDERS] if np.isfinite(at[_SHOULDERS]).all() else at[_NECK]
        if not np.isfinite(at[_HEAD]).all() or not np.isfinite(base).all():
            return
        # Children's heads are large for their size.
        scale = np.sqrt(self.size) * look.head
        up = _unit(_unit(at[_HEAD] - base, self.up) + 0.6 * self.up, self.up)
        right = _unit(self.right - (self.right @ up) * up, self.right)
        frame = np.stack([right, up, _cross(up, right)])  # rows: the head's own axes
        head = at[_HEAD]
        semi = scale * _HEAD_SEMI_M

        chin = head - 0.6 * semi[1] * up - 0.25 * semi[2] * frame[2]
        neck = ([(base, 0.055 * self.thick), (chin, 0.05 * scale)], _lit(look.skin, 0.88))
        depth = float(head[2] - 0.12 * self.size)
        if look.long_hair:
            nape = head - 0.45 * semi[2] * frame[2]
            ends = nape - 0.24 * scale * up
            spread = 0.04 * scale * right
            lock = [(nape, 0.085 * scale), (ends - spread, 0.05 * scale), (ends + spread, 0.05 * scale)]
            # Seen from before, it hangs behind the back; from behind, over it.
            lock_depth = self.trunk_z + 0.02 if frame[2] @ head < 0 else depth - 0.02
            yield _Part(depth=lock_depth, hulls=[(lock, look.hair)])
        surface = head + (_FEATURE_POINTS * semi) @ frame
        normals = (_FEATURE_POINTS / semi) @ frame
        # The cosine between the surface's normal and the way to the camera: above 0, the camera sees it.
        facing = -(normals * surface).sum(-1) / np.sqrt((normals**2).sum(-1) * (surface**2).sum(-1))
        flats: list[tuple[F64, Colour]] = []
        tints = {"skin": look.skin, "hair": look.hair, **_TINTS}
        for feature, span in zip(_FEATURES, _FEATURE_SPANS, strict=True):
            outline = surface[span]
            if feature.cut:
                outline = outline[facing[span] > 0]
            elif facing[span].mean() < feature.least_facing:
                continue
            if len(outline) > 2:
                flats.append((outline, _lit(tints[feature.tint], feature.light)))
        yield _Part(depth=depth, hulls=[neck], flats=flats)


def _cross(a: F64, b: F64) -> F64:
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


# The head: a unit sphere, x to the person's right, y up, z to the front, stretched to an ellipsoid when drawn ---------

_HEAD_SEMI_M = np.array([0.089, 0.118, 0.1])


@dataclass(frozen=True, kw_only=True)
class _Feature:
    """A patch of the head, points (P, 3), in a `tint` of the look or of `_TINTS`. A `cut` one ends where the head turns
    away from the camera; another is seen as a whole or not at all, as it faces the camera more or less than
    `least_facing` (a cosine)."""

    points: F64
    tint: str
    light: float = 1.0
    cut: bool = False
    least_facing: float = -2.0


def _sphere(count: int) -> F64:
    """Points (count, 3) spread evenly over the unit sphere (Fibonacci's lattice)."""
    i = np.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, np.pi * (1 + np.sqrt(5)) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], axis=-1)


def _cap(elevation_deg: float, half_angle_deg: float, shift: float = 0.0) -> F64:
    """The sphere's points within an angle of a direction in the plane of symmetry (0 is straight ahead), moved by
    `shift` to the person's right, where the lamp is for somebody who faces the camera."""
    elevation, half = np.radians([elevation_deg, half_angle_deg])
    points = _sphere(400)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)[:, None]
    axis, side = np.array([0, np.sin(elevation), np.cos(elevation)]), np.array([1.0, 0, 0])
    rim = np.cos(half) * axis + np.sin(half) * (np.cos(turn) * side + np.sin(turn) * np.cross(axis, side))
    return np.asarray(np.concatenate([points[points @ axis > np.cos(half)], rim]) + np.array([shift, 0, 0]))


def _on_face(x: float, y: float, lift: float = 1.0) -> list[float]:
    """The point of the front half at (x, y), `lift` times as far out."""
    return [lift * x, lift * y, lift * np.sqrt(max(0.0, 1 - x * x - y * y))]


def _blob(x: float, y: float, half_width: float, half_height: float) -> F64:
    return np.array([_on_face(a, b, 1.01) for a, b in _CIRCLE[::2] * (half_width, half_height) + (x, y)])


def _hair() -> F64:
    points = _sphere(400)
    return 1.07 * points[(points[:, 1] > 0.1) | ((points[:, 2] < -0.15) & (points[:, 1] > -0.55))]


_EAR = np.array([[1.0, 0.2, -0.02], [1.13, 0.18, -0.1], [1.13, -0.1, -0.12], [1.0, -0.28, 0.0], [0.97, 0.0, 0.1]])
_TINTS: dict[str, Colour] = {"eye": (238, 240, 240), "iris": (40, 50, 65), "lips": (90, 85, 165)}
_FEATURES = (
    _Feature(points=_sphere(120), tint="skin", light=0.8),
    _Feature(points=_hair(), tint="hair", light=0.8, cut=True),
    _Feature(points=_hair() * [0.85, 1, 0.85] + [0.08, 0, 0], tint="hair", light=1.05, cut=True),
    *(_Feature(points=_EAR * [side, 1, 1], tint="skin", light=0.85, least_facing=-0.15) for side in (-1, 1)),
    _Feature(points=_cap(-34, 70), tint="skin", light=0.88, cut=True),
    _Feature(points=_cap(-26, 56, 0.02), tint="skin", light=0.97, cut=True),
    _Feature(points=_cap(-15, 42, 0.05), tint="skin", light=1.05, cut=True),
    _Feature(
        points=np.array([_on_face(0, 0.05), _on_face(-0.17, -0.27), [0, -0.25, 1.22], _on_face(0.17, -0.27)]),
        tint="skin", light=0.8, least_facing=0.0,
    ),
    _Feature(
        points=np.array([_on_face(0.06, 0.05), _on_face(0.06, -0.22, 1.06), [0, -0.24, 1.2], _on_face(-0.02, 0.05)]),
        tint="skin", light=1.1, least_facing=0.1,
    ),
    *(
        _Feature(points=shape * [side, 1, 1], tint=tint, light=light, least_facing=0.2)
        for side in (-1, 1)
        for shape, tint, light in (
            (_blob(0.4, 0.27, 0.22, 0.04), "hair", 0.75),
            (_blob(0.39, 0.05, 0.19, 0.1), "eye", 1.0),
            (_blob(0.38, 0.05, 0.085, 0.095), "iris", 1.0),
        )
    ),
    _Feature(points=_blob(0.0, -0.53, 0.28, 0.055), tint="lips", least_facing=0.15),
)  # fmt: skip
_FEATURE_POINTS = np.concatenate([feature.points for feature in _FEATURES])
_ENDS = np.cumsum([len(feature.points) for feature in _FEATURES]).tolist()
_FEATURE_SPANS = [slice(end - len(feature.points), end) for end, feature in zip(_ENDS, _FEATURES, strict=True)]


# Paint ---------------------------------------------------------------------------------------------------------------

_SKINS: tuple[Colour, ...] = (
    (170, 200, 240), (150, 180, 225), (135, 165, 215), (110, 145, 195), (80, 115, 165), (60, 85, 125), (45, 62, 95),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = ((25, 25, 28), (30, 40, 55), (40, 60, 90), (60, 95, 135), (90, 140, 180), (130, 130, 135))


def _axes(yaw: float, pitch: float) -> F64:
    """A camera's axes as rows: to its left, up, along its line of sight."""
    left = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    ahead = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    return np.stack([left, np.cross(ahead, left), ahead])


def _fixed(pixels: F64, image: Image) -> NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers; far outside the picture they are clipped, as those would overflow."""
    far = 4 * max(image.shape[:2])
    return (np.clip(pixels, -far, far) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _fill(image: Image, points: NDArray[np.int32], colour: Colour) -> None:
    cv2.fillConvexPoly(image, cv2.convexHull(points), colour, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)


@lru_cache(maxsize=4096)
def _lit(colour: Colour, light: float) -> Colour:
    b, g, r = (min(255, int(c * light)) for c in colour)
    return b, g, r


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    pixel: Any = cv2.cvtColor(np.array([[[hue, saturation, value]]], dtype=np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def _fade(top: Colour, bottom: Colour, width: int, height: int) -> Image:
    """A vertical gradient (height, width, 3)."""
    share = np.linspace(0, 1, max(height, 1))[:, None, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    return np.broadcast_to(column, (len(column), width, 3)).astype(np.uint8, order="C")


def _wall_and_floor(
    rng: np.random.Generator, width: int, height: int, wall: Colour, floor: Colour
) -> tuple[Image, int]:
    horizon = int(height * rng.uniform(0.62, 0.76))
    upper = _fade(_lit(wall, 1.05), _lit(wall, 0.88), width, horizon)
    lower = _fade(_lit(floor, 0.8), _lit(floor, 1.1), width, height - horizon)
    return np.ascontiguousarray(np.concatenate([upper, lower])), horizon


def _room(rng: np.random.Generator, width: int, height: int) -> Image:
    wall = _hsv(rng.uniform(0, 180), rng.uniform(5, 60), rng.uniform(150, 225))
    floor = _hsv(rng.uniform(8, 25), rng.uniform(40, 120), rng.uniform(90, 170))
    image, horizon = _wall_and_floor(rng, width, height, wall, floor)
    for _ in range(rng.integers(1, 4)):  # pictures, a window, a door
        w, h = int(width * rng.uniform(0.08, 0.22)), int(height * rng.uniform(0.12, 0.35))
        x, y = int(rng.uniform(0, width - w)), int(rng.uniform(0.03, 0.3) * height)
        frame = _hsv(rng.uniform(0, 30), rng.uniform(0, 90), rng.uniform(60, 220))
        cv2.rectangle(image, (x, y), (x + w, y + h), frame, -1)
        inner = _fade(_hsv(rng.uniform(0, 180), 60, 200), _hsv(rng.uniform(0, 180), 60, 150), w, h)
        edge = max(2, w // 14)
        image[y + edge : y + h - edge, x + edge : x + w - edge] = inner[edge : h - edge, edge : w - edge]
    for _ in range(rng.integers(0, 3)):  # a chest, a sofa
        w, h = int(width * rng.uniform(0.15, 0.35)), int(height * rng.uniform(0.12, 0.28))
        x = int(rng.choice([rng.uniform(-0.1, 0.1), rng.uniform(0.7, 0.9)]) * width)
        y = horizon + int(0.05 * height) - h
        colour = _hsv(rng.uniform(0, 180), rng.uniform(20, 110), rng.uniform(60, 170))
        cv2.rectangle(image, (x, y), (x + w, y + h), _lit(colour, 0.8), -1)
        cv2.rectangle(image, (x, y), (x + w, y + h // 3), colour, -1)
    skirting = max(2, height // 60)
    cv2.rectangle(image, (0, horizon - skirting), (width, horizon), _lit(wall, 1.12), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.8, height / 400)), dtype=np.uint8)


def _studio(rng: np.random.Generator, width: int, height: int) -> Image:
    tone = _hsv(rng.uniform(0, 180), rng.uniform(0, 70), rng.uniform(120, 210))
    image, _ = _wall_and_floor(rng, width, height, tone, _lit(tone, 0.9))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), height / 25), dtype=np.uint8)


def _outdoors(rng: np.random.Generator, width: int, height: int) -> Image:
    sky = _hsv(rng.uniform(95, 115), rng.uniform(30, 120), rng.uniform(190, 245))
    grass = _hsv(rng.uniform(28, 60), rng.uniform(50, 130), rng.uniform(90, 160))
    image, horizon = _wall_and_floor(rng, width, height, sky, grass)
    for _ in range(rng.integers(4, 12)):  # bushes and trees
        radius = int(height * rng.uniform(0.06, 0.2))
        centre = (int(rng.uniform(0, width)), horizon - int(radius * rng.uniform(0.2, 1.0)))
        green = _hsv(rng.uniform(30, 75), rng.uniform(60, 150), rng.uniform(50, 130))
        cv2.circle(image, centre, radius, green, -1)
        cv2.rectangle(image, (centre[0] - radius // 8, centre[1]), (centre[0] + radius // 8, horizon), (40, 60, 80), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), height / 120), dtype=np.uint8)
