"""What a model is, in plain values that are checked: encoder, modality, normalisation, task. No torch in here.

Training builds encoders from these configs (`DSTE.Config`, `STTR.Config`), and a bundle's config.json states them, so
that the live path can read a bundle without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from .layout import COCO17, NTU25

Size = Literal["base", "small"]
Task = Literal["detect", "recognise", "encode"]
Modality = Literal["joint", "motion", "bone", "joint+motion+bone"]
# The plain ones look at the whole window, the "-causal" ones at the frames so far; "none" leaves joints as given.
Normalisation = Literal["torso", "torso-causal", "facing", "facing-causal", "image", "image-causal", "none"]
LayoutName = Literal["ntu25", "coco17"]

_HIDDEN: dict[Size, int] = {"base": 1024, "small": 256}
_LAYOUTS: dict[LayoutName, int] = {"ntu25": len(NTU25), "coco17": len(COCO17)}
_LOOKS_AHEAD: tuple[Normalisation, ...] = ("torso", "facing", "image")
_NORMALISATIONS: dict[LayoutName, tuple[Normalisation, ...]] = {
    "ntu25": ("torso", "torso-causal", "facing", "facing-causal", "none"),
    "coco17": ("image", "image-causal", "none"),
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What every encoder has.

    `causal`: no frame sees a later one, and the dense representation is the temporal stream's alone. `multimodal`: one
    embedding each for joint, motion and bone, averaged; the encoder is then given joints and makes the others itself.
    Raises ValueError for sizes that make no sense; the upper limits guard what allocates by a file's word.
    """

    hidden: int = 1024
    layers: int = 2
    frames: int = 64
    joints: int = 25
    people: int = 2
    coords: int = 3
    causal: bool = False
    multimodal: bool = False

    @classmethod
    def named(cls, size: Size) -> Self:
        """`base`: the paper's, hidden 1024. `small`: hidden 256, the live default."""
        if size not in _HIDDEN:
            raise ValueError(f"no encoder size {size!r}; there are {', '.join(_HIDDEN)}")
        return cls(hidden=_HIDDEN[size])

    def __post_init__(self) -> None:
        check(2 <= self.hidden <= 8192 and self.hidden % 2 == 0, "encoder.hidden must be even, in 2..8192")
        for name, most in (("layers", 64), ("frames", 4096), ("joints", 256), ("people", 8), ("coords", 3)):
            check(1 <= getattr(self, name) <= most, f"encoder.{name} must be in 1..{most}")

    @property
    def dense_width(self) -> int:
        """The width of the dense representation: 2H, or H where spatial tokens would leak from later frames."""
        return self.hidden if self.causal else 2 * self.hidden


@dataclass(frozen=True, kw_only=True)
class DSTEConfig(EncoderConfig):
    """USDRL's Dense Spatio-Temporal Encoder: 57 M parameters as `base`, 3.7 M as `small`.

    `gap`: every gap-th token keeps its own value in DSA; `alpha`: CA's share of a layer's output.
    """

    kind: Literal["dste"] = "dste"
    gap: int = 4
    alpha: float = 0.5
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(1 <= self.gap <= 4096, "encoder.gap must be in 1..4096")
        check(0 <= self.alpha <= 1, "encoder.alpha must be in 0..1")
        check(0 <= self.drop_path < 1, "encoder.drop_path must be in 0..1, below 1")


@dataclass(frozen=True, kw_only=True)
class STTRConfig(EncoderConfig):
    """USDRL's baseline, plain transformer layers: 28 M parameters as `base`."""

    kind: Literal["sttr"] = "sttr"


AnyEncoderConfig = DSTEConfig | STTRConfig


def encoder_class(kind: object) -> type[DSTEConfig] | type[STTRConfig]:
    """The config class of a `kind`. Raises ValueError if there is none."""
    if kind == "dste":
        return DSTEConfig
    if kind == "sttr":
        return STTRConfig
    raise ValueError(f"no encoder kind {kind!r}; there are 'dste' and 'sttr'")


def encoder_config(values: Mapping[str, Any]) -> AnyEncoderConfig:
    """The config whose `asdict` these values are; a DSTE's where they name no kind, as before there was another.

    Raises ValueError for values that are no encoder's.
    """
    try:
        return encoder_class(values.get("kind", "dste"))(**values)
    except TypeError as error:
        raise ValueError(f"these are no encoder's settings: {error}") from error


def suited_normalisation(config: EncoderConfig) -> Normalisation:
    """What an encoder sees unless somebody says otherwise: metres about the hips of somebody who faces one way, or
    points in a picture about the torso.
    """
    if config.joints == len(COCO17):
        return "image-causal" if config.causal else "image"
    return "facing-causal" if config.causal else "facing"


def check_normalisation(config: EncoderConfig, normalisation: Normalisation) -> None:
    """Raise ValueError unless an encoder can be given joints that were normalised so."""
    layout = layout_of(config)
    allowed = _NORMALISATIONS[layout]
    check(normalisation in allowed, f"normalisation of {layout} must be one of {', '.join(allowed)}")
    check(
        not (config.causal and normalisation in _LOOKS_AHEAD),
        f"normalisation {normalisation} looks ahead; a causal encoder takes {suited_normalisation(config)}",
    )


def layout_of(config: EncoderConfig) -> LayoutName:
    """The layout that an encoder's number of joints tells. Raises ValueError if it tells none."""
    for name, joints in _LAYOUTS.items():
        if config.joints == joints and config.coords == 3:
            return name
    raise ValueError(
        f"encoder.joints must be 25 (ntu25) or 17 (coco17) and encoder.coords 3, not {config.joints} and "
        f"{config.coords}"
    )


def check_model(
    task: Task, encoder: EncoderConfig, classes: Sequence[str], modality: Modality, normalisation: Normalisation
) -> None:
    """Raise ValueError unless these parts make a model together."""
    check_normalisation(encoder, normalisation)
    check(
        not encoder.causal or modality in ("joint", "bone"),
        f"modality {modality} looks a frame ahead; a causal encoder takes joint or bone",
    )
    check(
        encoder.multimodal == (modality == "joint+motion+bone"),
        "modality joint+motion+bone and encoder.multimodal go together; set both or neither",
    )
    if task == "encode":
        check(len(classes) == 0, "classes must be empty for the task encode: it has no head")
        return
    check(2 <= len(classes) <= 4096, "classes must hold 2 to 4096 names")
    check(all(classes) and len(set(classes)) == len(classes), "class names must differ from one another")
    check(task != "detect" or classes[0] == "background", "classes must begin with 'background' for the task detect")


def check(holds: bool, message: str) -> None:
    """Raise ValueError with this message unless the condition holds."""
    if not holds:
        raise ValueError(message)
