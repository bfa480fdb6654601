"""The model card of a bundle: README.md in the form that hubs read, from what its config.json says and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .bundle import Bundle

CARD = "README.md"
_PAPER = "[TPAMI 2026](https://arxiv.org/abs/2508.12586)"

_HEAD = """\
---
library_name: skelstream
license: other
license_name: research-data
pipeline_tag: video-classification
tags:
- skeleton
- action-detection
- online-action-detection
- usdrl
- openvino
- onnx
---
"""
FIGURES = {
    "frames": "frames", "frame_accuracy": "frame accuracy %", "map_actions": "mAP@0.5 actions",
    "map_videos": "mAP@0.5 videos", "f1_10": "F1@10", "f1_25": "F1@25", "f1_50": "F1@50",
}  # fmt: skip
_PICTURES = (".png", ".jpg")
_WHAT = {
    "detect": "says, for every frame of a person's skeleton, which action it belongs to",
    "recognise": "says which action a clip of skeletons shows",
    "encode": "turns skeletons into features, frame by frame",
}


def model_card(bundle: Bundle) -> str:
    """The card's text."""
    parts = [
        _HEAD,
        _opening(bundle),
        _use(bundle),
        _metrics(bundle),
        _failures(bundle),
        _data(bundle),
        _training(bundle),
    ]
    return "\n".join(part for part in parts if part)


def pictures_of(directory: Path) -> list[Path]:
    """The pictures of a card, which lie beside it; the first words of a name say what it shows."""
    return sorted(path for path in directory.iterdir() if path.suffix in _PICTURES and path.is_file())


def _opening(bundle: Bundle) -> str:
    config, encoder = bundle.config, bundle.config.encoder
    kind = type(encoder).__name__.removesuffix("Config")
    classes = ", ".join(config.classes[1:] if config.task == "detect" else config.classes)
    words = f"\nIts words: {classes}; what is none of them is background, or `unknown`.\n" if classes else ""
    return f"""\
# {bundle.name}

A {kind} of hidden size {encoder.hidden} (USDRL, {_PAPER}) that {_WHAT[config.task]}. It reads windows of
{config.frames} frames at {config.hz:g} Hz: joints in the layout {config.layout}, of at most {encoder.people} people,
found in pictures by MediaPipe or measured by a Kinect.
{words}"""


def _use(bundle: Bundle) -> str:
    live = bundle.config.task == "detect"
    command = f"skelstream live --model hf://ORG/{bundle.name}        # or the folder of this file\n" if live else ""
    return f"""\
## Use

```sh
pip install 'skelstream[hub]'
{command}```

```python
import skelstream

model = skelstream.Model.from_pretrained("ORG/{bundle.name}")
```

Meant for: robots and rooms that react to people, research on skeletons, a start for fine-tuning. Not meant for:
anything that harms people when it is wrong (it is wrong often, see below), telling who somebody is, judging people at
work, in school or on the street. It sees joints, not faces, but how somebody moves can tell who they are: mind what you
record.
"""


def _metrics(bundle: Bundle) -> str:
    metrics = bundle.config.metrics
    rows = metrics.get("rows")
    if not isinstance(rows, Mapping) or not rows:
        return "## How good it is\n\nNot measured: `skelstream evaluate`, then `skelstream card --report`.\n"
    table = _table(["people", *FIGURES.values()], [[name, *_cells(row)] for name, row in rows.items()])
    part = metrics.get("part", "test")
    return f"""\
## How good it is

On {part} people, who were in no training set; *drawn and seen* are recordings drawn as people and found again by
MediaPipe, as a camera would see them.

{table}
Measured by `skelstream evaluate --hop 4`, through the windows, the engine and the decoder of the live path.
"""


def _cells(row: Mapping[str, Any]) -> list[str]:
    values = [row.get(key) for key in FIGURES]
    return [
        "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{100 * value:.1f}" for value in values
    ]


def _failures(bundle: Bundle) -> str:
    pictures = pictures_of(bundle.directory)
    shown = "\n".join(f"![{path.stem.replace('_', ' ')}]({path.name})" for path in pictures)
    more = f"\n{shown}\n" if shown else ""
    return f"""\
## Where it fails

{_limits(bundle)}{more}"""


def _limits(bundle: Bundle) -> str:
    lines = [
        "One camera gives depth badly: what moves along the line of sight (push, pull, throw, walk) often passes for "
        "nothing.",
        "It has few words. What is none of them is not reliably called unknown: it may pass for a familiar action.",
        "Who is cut off at the hips or half hidden is said too little of; without head and arms nothing is said.",
        "It was trained on few people, in few rooms; nobody measured how it does on others.",
    ]
    if bundle.config.task != "detect":
        lines = lines[-1:]
    return "".join(f"- {line}\n" for line in lines)


def _data(bundle: Bundle) -> str:
    data = bundle.config.provenance.get("data")
    if not isinstance(data, Sequence) or isinstance(data, str) or not data:
        return "## Data and licences\n\nNot told.\n"
    rows = []
    for line in data:
        name, _, licence = str(line).partition(": ")
        rows.append([name, licence or "not told"])
    return f"""\
## Data and licences

The code is Apache-2.0. The weights saw these sets, some of which allow research alone, some no commercial use: mind
that before you use them for anything else.

{_table(["set", "licence"], rows)}"""


def _training(bundle: Bundle) -> str:
    provenance = bundle.config.provenance
    training = provenance.get("training")
    if not isinstance(training, Mapping):
        return ""
    settings = ", ".join(f"{key} {value}" for key, value in training.items() if not isinstance(value, list | dict))
    made = f" on {provenance['made']}" if "made" in provenance else ""
    minutes = f" in {provenance['minutes']} minutes" if "minutes" in provenance else ""
    before = ", after an earlier one whose settings are in `config.json` too" if "before" in provenance else ""
    return f"""\
## How it was made

The last training{made}{minutes}{before}: {settings}.
"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
