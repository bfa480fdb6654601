"""Pair every preview with the people of the same frame, so that a skeleton never lags behind its picture.

The picture leaves the camera stage before its people leave the tracker, and either stage may skip frames. A preview is
therefore held until the people of its frame are there, or are known not to come.
"""

from __future__ import annotations

from collections import deque

from ..wire import Preview, Tracks

_HELD = 64  # previews and tracks kept: two seconds at 30 fps, more than a slow pose model lags
_NEAR_S = 0.2  # the people of a neighbouring frame still fit a picture that is this close to it
_ALIVE_S = 1.0  # without people for this long, pictures are shown bare instead of held back

Pair = tuple[Preview, Tracks | None]


class Pictures:
    """The previews and tracks of one camera, and the newest pair of them to show.

    `at` is the receiver's clock in seconds, monotonic, throughout.
    """

    def __init__(self) -> None:
        self._previews: deque[Preview] = deque(maxlen=_HELD)
        self._tracks: dict[int, Tracks] = {}
        self._tracks_at = float("-inf")
        self._shown: Pair | None = None

    def add_preview(self, preview: Preview) -> None:
        self._previews.append(preview)

    def add_tracks(self, tracks: Tracks, *, at: float) -> None:
        self._tracks[tracks.seq] = tracks
        self._tracks_at = at
        while len(self._tracks) > _HELD:
            del self._tracks[next(iter(self._tracks))]

    def newest(self, *, at: float) -> Pair | None:
        """The newest preview that may be shown, with its people; never older than the one returned before."""
        people_come = at - self._tracks_at < _ALIVE_S
        for preview in reversed(self._previews):
            if self._shown is not None and preview.seq <= self._shown[0].seq:
                break
            tracks = self._tracks.get(preview.seq)
            skipped = any(seq > preview.seq for seq in self._tracks)
            if tracks is None and skipped:
                tracks = self._nearest(preview)
            if tracks is not None or skipped or not people_come:
                self._shown = (preview, tracks)
                break
        return self._shown

    def _nearest(self, preview: Preview) -> Tracks | None:
        nearest = min(self._tracks.values(), key=lambda tracks: abs(tracks.t - preview.t))
        return nearest if abs(nearest.t - preview.t) <= _NEAR_S else None
