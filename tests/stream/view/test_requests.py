"""What a page may ask: nothing but requests of exactly the right form gets anywhere, however fast it comes."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from skelstream.stream.view.requests import AskMoment, Bucket, Name, Record, Seen, Show, TeachIt, Tune, Want, parse
from skelstream.stream.wire import AnyMessage

GOOD: dict[str, object] = {
    '{"seen": "robot"}': Seen("robot"),
    '{"do": "show", "focus": "door", "cameras": ["door", "garden"]}': Show("door", ("door", "garden")),
    '{"do": "show", "cameras": []}': Show(None, ()),
    '{"do": "show"}': Show(None, None),
    '{"do": "want", "bars": true, "charts": false}': Want(bars=True, charts=False),
    '{"do": "moment", "t": -1}': AskMoment(-1.0),
    '{"do": "name", "camera": "door", "track": 3, "name": "Änn"}': Name("door", 3, "Änn"),
    '{"do": "tune", "enter": 0.5}': Tune(0.5, None, {}),
    '{"do": "tune", "belief": 2, "actions": {"wave": 1}}': Tune(None, 2.0, {"wave": 1.0}),
    '{"do": "record", "op": "stop"}': Record("stop"),
    '{"do": "teach", "op": "begin", "action": "salute"}': TeachIt("begin", "salute", "", 5, "", None),
}
BAD = [
    "", "{", "[]", "null", "3", '"seen"', "{}", '{"do": "fly"}', '{"do": 5}', '{"seen": "everything"}',
    '{"seen": ["picture"]}',
    '{"seen": "picture", "do": "past"}', '{"do": "past", "camera": "door"}', '{"do": "show", "focus": 5}',
    '{"do": "show", "cameras": "door"}', '{"do": "show", "cameras": [1]}', '{"do": "want", "bars": 1, "charts": true}',
    '{"do": "moment", "t": NaN}', '{"do": "moment", "t": Infinity}', '{"do": "moment", "t": "1"}',
    '{"do": "moment", "t": true}',
    '{"do": "moment", "t": 1e999}', '{"do": "name", "camera": "door", "track": -1, "name": "x"}',
    '{"do": "name", "camera": "door", "track": 1.5, "name": "x"}', '{"do": "name", "camera": "door", "track": 1}',
    '{"do": "name", "camera": "door", "track": 99999999999999999999, "name": "x"}',
    '{"do": "name", "camera": "door", "track": 1, "name": "a\\nb"}',
    '{"do": "name", "camera": "d\\u0000", "track": 1, "name": "x"}',
    json.dumps({"do": "name", "camera": "door", "track": 1, "name": 41 * "x"}),
    json.dumps({"do": "show", "cameras": 33 * ["door"]}), '{"do": "tune", "enter": 2}', '{"do": "tune", "belief": 0}',
    '{"do": "tune", "actions": {"wave": 3}}', '{"do": "tune", "actions": ["wave"]}', '{"do": "record", "op": "delete"}',
    '{"do": "record", "op": "start", "path": "/etc/passwd"}', '{"do": "teach", "op": "begin", "shots": 0}',
    '{"do": "teach", "op": "begin", "shots": 10000}', '{"do": "teach", "op": "begin", "track": null}', "[" * 2000,
    "9" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("text", list(GOOD))
def test_what_the_page_sends_is_understood(text: str) -> None:
    assert parse(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["do", "seen", "camera", "track", "name", "enter", "belief", "actions", "op", "t", "cameras"])


@given(st.dictionaries(FIELDS, JSON | st.sampled_from(["name", "tune", "teach", "record", "show", "start"])))
def test_whatever_is_made_up_is_a_request_or_a_value_error(fields: dict[str, object]) -> None:
    try:
        made = parse(json.dumps(fields))
    except ValueError:
        return
    assert type(made).__module__ == "skelstream.stream.view.requests"


@given(
    per_s=st.floats(0.5, 50), at_once=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 1), min_size=1, max_size=200),
)  # fmt: skip
def test_a_bucket_lets_through_what_it_should_and_no_more(per_s: float, at_once: int, gaps: list[float]) -> None:
    bucket, now, taken = Bucket(per_s, at_once), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.takes(now)
        assert taken <= at_once + per_s * now + 1e-6
    assert bucket.takes(now + at_once / per_s + 2 / per_s)


def test_a_hostile_page_floods_neither_the_bus_nor_anybody_else(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    published: list[AnyMessage] = []
    with made.serving(feed, port, publish=published.append), made.viewer(port) as rude, made.viewer(port) as polite:
        feed.put(made.preview(3), made.tracks(3))
        made.heard(polite, "state", lambda state: state["people"])

        def flood() -> None:
            try:
                for i in range(3000):
                    rude.send(json.dumps({"do": "tune", "enter": (i % 7) / 10}))
            except ConnectionClosed:
                return

        flooding = threading.Thread(target=flood)
        flooding.start()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                rude.recv(timeout=made.PATIENCE_S)
        flooding.join()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
        assert len(published) < 400
        feed.put(made.preview(9), made.tracks(9))
        assert made.see_until(polite, 9)[-1] == 9


def test_who_asks_for_too_much_is_told_so_and_stays(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port), made.viewer(port) as client:
        for _ in range(60):
            client.send('{"do": "past"}')
        refused = made.heard(client, "refused")
        assert "too often" in refused["line"]
        feed.put(made.preview(3), made.tracks(3))
        assert made.heard(client, "state", lambda state: state["people"])
