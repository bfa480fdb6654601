"""skelstream: what people do, from their skeletons, live.

    import skelstream

    result = skelstream.detect("clip.mp4")      # what people do in a video
    model = skelstream.Model.from_pretrained("small")

Four rooms: `encoder` (the model), `stream` (the live path), `train` (how weights are made), `launch` (how it is
started).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .encoder.hub import Model as Model
    from .launch.api import detect as detect
    from .launch.detections import Detections as Detections

__version__ = "0.1.0"
__all__ = ["Detections", "detect"]  # and Model, which not everybody can import

_HOMES = {"Detections": "launch.detections", "Model": "encoder.hub", "detect": "launch.api"}


def __getattr__(name: str) -> object:
    """What is offered is imported when it is first asked for: `import skelstream` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*_HOMES, "__version__"]
