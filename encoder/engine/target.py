"""A target: what an engine is compiled with, and in which precision. BACKEND or BACKEND:PRECISION in writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, get_args

from ..precision import Precision
from .compile import Backend

PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "openvino": ("fp32", "bf16", "int8"), "tensorrt": ("fp32", "fp16", "int8"), "torch": ("fp32", "fp16", "bf16")
}  # fmt: skip
assert set(PRECISIONS) == set(get_args(Backend))


@dataclass(frozen=True)
class Target:
    """A backend and a precision; without one the engine takes what suits the bundle and the device."""

    backend: Backend
    precision: Precision | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read BACKEND[:PRECISION]. Raises ValueError for one that is not known."""
        name, colon, precision = text.partition(":")
        if name not in PRECISIONS:
            raise ValueError(f"no target {text!r}; write BACKEND or BACKEND:PRECISION, with {', '.join(PRECISIONS)}")
        backend: Backend = name
        if not colon:
            return cls(backend)
        if precision not in PRECISIONS[backend]:
            raise ValueError(f"no target {text!r}; write {backend}, or :{', :'.join(PRECISIONS[backend])} after it")
        return cls(backend, precision)

    def __str__(self) -> str:
        return f"{self.backend}:{self.precision}" if self.precision else self.backend
