"""ELAN (EAF 3.0), for whoever looks at the video beside its labels, and mends them: a tier for each person, whose
actions come from a controlled vocabulary, and beneath it one with how sure each was."""

from __future__ import annotations

import contextlib
import mimetypes
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, groupby
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as Xml

from ...stream.wire import AnyMessage
from .labels import Label, Labels
from .story import Story

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_UNDETERMINED = "http://cdb.iso.org/lg/CDB-00130975-001"  # the language that is none


class ElanDocument:
    """Written when the recording has been gone through. `media` is the video that it belongs to."""

    def __init__(self, path: Path, story: Story, media: Path | None) -> None:
        self._path, self._story, self._media, self._labels = path, story, media, Labels(story)

    def take(self, message: AnyMessage, when: float) -> None:
        self._labels.take(message)

    def close(self) -> None:
        document = _document(self._story, self._labels.all(), self._media, self._path)
        Xml.indent(document)
        Xml.ElementTree(document).write(self._path, encoding="utf-8", xml_declaration=True)


def _document(story: Story, labels: Sequence[Label], media: Path | None, path: Path) -> Xml.Element:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    document = Xml.Element(
        "ANNOTATION_DOCUMENT",
        {
            "xmlns:xsi": _XSI, "xsi:noNamespaceSchemaLocation": _SCHEMA, "AUTHOR": "skelstream", "DATE": now,
            "FORMAT": "3.0", "VERSION": "3.0",
        },
    )  # fmt: skip
    header = Xml.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if media is not None:
        _describe(header, media, path)
    words = dict.fromkeys([*story.classes[1:], "unknown", *(label.action for label in labels)])
    entry = {word: f"cve{i}" for i, word in enumerate(words)}
    several = len({label.who.camera for label in labels}) > 1
    order = Xml.SubElement(document, "TIME_ORDER")
    ids = (f"a{i}" for i in count(1))
    spans = [(label, *_milliseconds(label, story.origin or 0.0)) for label in labels]
    slots = _slots(order, [(start, end) for _, start, end in spans])
    for who, of_one in groupby(spans, key=lambda span: span[0].who):
        run = f" (run {who.run + 1})" if who.run else ""
        name = (f"{who.camera} " if several else "") + f"person {who.track}{run}"
        _tiers(document, name, story.called(who), list(of_one), entry, slots, ids)
    _types(document)
    Xml.SubElement(document, "LANGUAGE", LANG_DEF=_UNDETERMINED, LANG_ID="und", LANG_LABEL="undetermined (und)")
    Xml.SubElement(
        document, "CONSTRAINT", DESCRIPTION="1-1 association with a parent annotation",
        STEREOTYPE="Symbolic_Association",
    )  # fmt: skip
    vocabulary = Xml.SubElement(document, "CONTROLLED_VOCABULARY", CV_ID="actions")
    Xml.SubElement(vocabulary, "DESCRIPTION", LANG_REF="und").text = "the model's actions"
    for word, identity in entry.items():
        ml = Xml.SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=identity)
        Xml.SubElement(ml, "CVE_VALUE", DESCRIPTION="", LANG_REF="und").text = word
    return document


def _milliseconds(label: Label, origin: float) -> tuple[int, int]:
    """Where it lies in the video; ELAN knows no time before 0, and nothing shorter than 1 ms."""
    start = max(round(1000 * (label.start - origin)), 0)
    return start, max(round(1000 * (label.end - origin)), start + 1)


def _slots(order: Xml.Element, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """A slot of its own for each start and end, in the order of time; returns those of each span."""
    edges = sorted((at, i, side) for i, span in enumerate(spans) for side, at in enumerate(span))
    identity: dict[tuple[int, int], str] = {}
    for n, (at, i, side) in enumerate(edges, 1):
        identity[i, side] = f"ts{n}"
        Xml.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{n}", TIME_VALUE=str(at))
    return iter([(identity[i, 0], identity[i, 1]) for i in range(len(spans))])


def _tiers(
    document: Xml.Element, name: str, participant: str, spans: Sequence[tuple[Label, int, int]], entry: dict[str, str],
    slots: Iterator[tuple[str, str]], ids: Iterator[str],
) -> None:  # fmt: skip
    what = {"ANNOTATOR": "skelstream", "PARTICIPANT": participant}
    actions = Xml.SubElement(document, "TIER", what, LINGUISTIC_TYPE_REF="action", TIER_ID=name)
    surely = Xml.SubElement(
        document, "TIER", what, LINGUISTIC_TYPE_REF="confidence", PARENT_REF=name, TIER_ID=f"{name} confidence"
    )
    for label, _, _ in spans:
        (begins, ends), action, sure = next(slots), next(ids), next(ids)
        annotation = Xml.SubElement(
            Xml.SubElement(actions, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=action,
            CVE_REF=entry[label.action], TIME_SLOT_REF1=begins, TIME_SLOT_REF2=ends,
        )  # fmt: skip
        Xml.SubElement(annotation, "ANNOTATION_VALUE").text = label.action
        beneath = Xml.SubElement(
            Xml.SubElement(surely, "ANNOTATION"), "REF_ANNOTATION", ANNOTATION_ID=sure, ANNOTATION_REF=action
        )
        Xml.SubElement(beneath, "ANNOTATION_VALUE").text = f"{label.confidence:.2f}"


def _types(document: Xml.Element) -> None:
    Xml.SubElement(
        document, "LINGUISTIC_TYPE", CONTROLLED_VOCABULARY_REF="actions", GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="action", TIME_ALIGNABLE="true",
    )  # fmt: skip
    Xml.SubElement(
        document, "LINGUISTIC_TYPE", CONSTRAINTS="Symbolic_Association", GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="confidence", TIME_ALIGNABLE="false",
    )  # fmt: skip


def _describe(header: Xml.Element, media: Path, path: Path) -> None:
    full = media.resolve()
    kind = mimetypes.guess_type(media.name)[0] or "video/*"
    there = {"MEDIA_URL": f"file://{quote(full.as_posix())}", "MIME_TYPE": kind}
    with contextlib.suppress(ValueError):  # it lies elsewhere
        there["RELATIVE_MEDIA_URL"] = f"./{quote(full.relative_to(path.parent.resolve()).as_posix())}"
    Xml.SubElement(header, "MEDIA_DESCRIPTOR", there)
