"""What people set on the page: published, kept over a restart, the same for every tab; what cannot be is said why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skelstream.stream.view.people import Names
from skelstream.stream.wire import AnyMessage, Glimpse, Named, Recording, Taught, Teach, Tuned


def ask(client: Any, **request: Any) -> None:
    client.send(json.dumps(request))


def test_a_name_is_shown_to_all_published_and_kept(made: Any, tmp_path: Path) -> None:
    port, feed, kept = made.free_port(), made.QueueFeed(), tmp_path / "wishes.json"
    published: list[AnyMessage] = []
    for life in range(2):
        with (
            made.serving(feed, port, publish=published.append, kept=kept),
            made.viewer(port) as one, made.viewer(port) as other,
        ):  # fmt: skip
            feed.put(made.preview(3), made.tracks(3, (7, 9)), made.event("start", 0.0, None))
            if life == 0:
                made.heard(one, "state", lambda state: len(state["people"]) == 2)
                ask(one, do="name", camera="door", track=7, name="  Ann   Lee ")
            named = made.heard(other, "state", lambda state: any(person["name"] for person in state["people"]))
            assert [person["name"] for person in named["people"]] == ["Ann Lee", ""] and named["names"] == {
                "7": "Ann Lee"
            }
            assert (
                made.heard(one, "log", lambda log: log["entries"] and log["entries"][0]["name"])["entries"][0]["name"]
                == "Ann Lee"
            )
    assert [(name.track, name.name) for name in published if isinstance(name, Named)][:1] == [(7, "Ann Lee")]
    assert [path.name for path in tmp_path.iterdir()] == ["wishes.json"]


def test_what_was_set_is_said_again_for_those_who_come_late(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    published: list[AnyMessage] = []
    with made.serving(feed, port, publish=published.append), made.viewer(port) as client:
        with made.streaming(feed):
            made.heard(client, "state", lambda state: state["people"])
            ask(client, do="name", camera="door", track=7, name="Ann")
            ask(client, do="tune", enter=0.1)
            made.until(lambda: len(published) >= 4, "what is said again")
        assert published[0] in published[2:] and published[1] in published[2:]
        assert {type(message) for message in published} == {Named, Tuned}


def test_what_cannot_be_is_refused_in_a_line(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    published: list[AnyMessage] = []
    with made.serving(feed, port, publish=published.append), made.viewer(port) as client:
        feed.put(made.tracks(3, (7, 9)), made.tracks(3, (4,), "garden"), Taught(at=1.0, actions=("salute",)))
        made.heard(client, "hello", lambda hello: "salute" in hello["classes"])
        made.heard(client, "state", lambda state: len(state["cameras"]) == 2)
        ask(client, do="name", camera="door", track=7, name="Ann")
        ask(client, do="name", camera="garden", track=4, name="Ann")  # another camera
        wrong: list[tuple[dict[str, object], str]] = [
            ({"do": "name", "camera": "door", "track": 9, "name": "ANN"}, "a name that exists: person A is called ANN"),
            ({"do": "name", "camera": "door", "track": 99, "name": "Bob"}, "no longer there"),
            ({"do": "name", "camera": "nowhere", "track": 7, "name": "Bob"}, "no longer there"),
            ({"do": "tune", "actions": {"fly": 0.1}}, "no action is called fly"),
            ({"do": "teach", "op": "begin", "action": "wave"}, "a name that exists"),
            ({"do": "teach", "op": "begin", "action": "salute"}, "a name that exists"),
            ({"do": "teach", "op": "begin", "action": "unknown"}, "a name that exists"),
            ({"do": "teach", "op": "begin", "action": "  "}, "needs a name"),
            ({"do": "teach", "op": "forget", "action": "wave"}, "no action that was taught is called wave"),
            ({"do": "teach", "op": "rename", "action": "salute", "to": ""}, "needs a new name"),
            ({"do": "teach", "op": "rename", "action": "salute", "to": "bow"}, "a name that exists"),
        ]
        for request, line in wrong:
            ask(client, **request)
            said = made.heard(client, "refused")["line"]
            assert line in said and "\n" not in said, said
        ask(client, do="name", camera="door", track=7, name="")  # it is free again
        ask(client, do="name", camera="door", track=9, name="Ann")
        made.heard(client, "state", lambda state: state["names"] == {"9": "Ann"})
    names = [message for message in published if isinstance(message, Named)]
    assert {(name.camera, name.track, name.name) for name in names} >= {
        ("door", 7, "Ann"),
        ("garden", 4, "Ann"),
        ("door", 9, "Ann"),
    }
    assert not [message for message in published if isinstance(message, Teach | Tuned)]


def test_thresholds_are_set_one_by_one_and_reset_together(made: Any) -> None:
    port = made.free_port()
    published: list[Named | Tuned] = []
    marks = [0.5, 0.5, 0.6, 0.5]
    with (
        made.serving(made.QueueFeed(), port, publish=published.append, marks=marks),
        made.viewer(port) as one, made.viewer(port) as other,
    ):  # fmt: skip
        assert made.heard(one, "hello")["marks"] == marks
        ask(one, do="tune", enter=0.1, actions={"wave": 1, "bow": -0.1})
        made.heard(other, "tuned", lambda tuned: tuned["enter"] == 0.1)
        ask(other, do="tune", belief=2, actions={"wave": 0})
        tuned = made.heard(one, "tuned", lambda tuned: tuned["belief"] == 2)
        assert (tuned["enter"], tuned["actions"]) == (0.1, {"bow": -0.1})
        ask(one, do="untune")
        made.heard(other, "tuned", lambda tuned: tuned["enter"] == 0 and tuned["belief"] == 1 and not tuned["actions"])
    assert [(t.enter, t.belief, t.actions) for t in published if isinstance(t, Tuned)][:3] == [
        (0.1, 1.0, {"wave": 1.0, "bow": -0.1}), (0.1, 2.0, {"bow": -0.1}), (0.0, 1.0, {}),
    ]  # fmt: skip
    times = [message.at for message in published]
    assert times[:3] == sorted(set(times[:3]))


def test_recordings_and_lessons_are_asked_for_on_the_bus(made: Any) -> None:
    port = made.free_port()
    published: list[AnyMessage] = []
    with made.serving(made.QueueFeed(), port, publish=published.append), made.viewer(port) as client:
        ask(client, do="record", op="start")
        ask(client, do="teach", op="begin", action="high  five", shots=3, camera="door", track=7)
        ask(client, do="teach", op="cancel")
        made.until(lambda: len(published) == 3, "three wishes")
    recording, begin, cancel = published
    assert isinstance(recording, Recording) and recording.op == "start"
    assert isinstance(begin, Teach) and isinstance(cancel, Teach)
    assert (begin.op, begin.action, begin.shots, begin.camera, begin.track) == ("begin", "high_five", 3, "door", 7)
    assert cancel.op == "cancel"


def test_glimpses_are_listened_to_only_while_somebody_wants_bars(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port):
        with made.viewer(port) as one, made.viewer(port) as other:
            feed.put(made.tracks(3))
            made.heard(one, "state", lambda state: state["people"])
            assert feed.kinds == set()
            ask(one, do="want", bars=True, charts=False)
            ask(other, do="want", bars=True, charts=True)
            made.until(lambda: feed.kinds == {Glimpse}, "glimpses")
            feed.put(
                made.tracks(4), made.glimpse(9, 0.1, 0.2, 0.6, 0.1), made.glimpse(9, 0.5, 0.5)
            )  # one of other classes
            bars = made.heard(one, "bars", lambda bars: bars["people"])
            assert bars["people"] == {"7": [0.1, 0.2, 0.6, 0.1]}
            assert len(made.heard(other, "trends")["p50"]) in (0, 300)
            ask(one, do="want", bars=False, charts=False)
            ask(other, do="want", bars=False, charts=False)
            made.until(lambda: feed.kinds == set(), "silence")
            ask(one, do="want", bars=True, charts=False)
            made.until(lambda: feed.kinds == {Glimpse}, "glimpses")
        made.until(lambda: feed.kinds == set(), "nobody's being there")


def test_only_the_pictures_that_a_page_shows_are_sent_to_it(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    cameras = ("door", "garden", "hall")

    def seen(client: Any, seq: int, of: set[str]) -> set[str]:
        """Whose pictures came, until the newest of all these had."""
        found: dict[str, int] = {}
        while {camera for camera in of if found.get(camera) == seq} != of:
            message = client.recv(timeout=made.PATIENCE_S)
            if isinstance(message, bytes):
                header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
                found[header["camera"]] = header["seq"]
                client.send('{"seen": "picture"}')
            elif '"type":"state"' in message:
                client.send('{"seen": "state"}')
        return set(found)

    def put(seq: int) -> None:
        for camera in cameras:
            feed.put(made.preview(seq, camera), made.tracks(seq, camera=camera))

    with made.serving(feed, port), made.viewer(port) as one, made.viewer(port) as grid:
        put(1)
        assert seen(one, 1, {"door"}) == {"door"}
        ask(grid, do="show", focus="hall", cameras=[*cameras, "nowhere"])
        seen(grid, 1, set(cameras))
        ask(one, do="show", focus="garden")
        made.heard(one, "state", lambda state: state["camera"] == "garden")
        put(2)
        assert "hall" not in seen(one, 2, {"garden"})
        assert seen(grid, 2, set(cameras)) == set(cameras)
        ask(one, do="show", focus="garden", cameras=[])
        made.heard(one, "state")
        put(3)
        for _ in range(12):
            message = one.recv(timeout=made.PATIENCE_S)
            assert isinstance(message, str)
            if '"type":"state"' in message:
                one.send('{"seen": "state"}')
        assert seen(grid, 3, set(cameras)) == set(cameras)


def test_of_two_names_the_newer_counts_and_the_oldest_go() -> None:
    def named(track: int, name: str, at: float) -> Named:
        return Named(camera="door", track=track, name=name, at=at)

    names = Names()
    assert (
        names.take(named(1, "Ann", 5.0))
        and not names.take(named(1, "Bob", 5.0))
        and not names.take(named(1, "Bob", 4.0))
    )
    assert names.of("door", 1) == "Ann" and names.of("hall", 1) == ""
    for track in range(2, 1100):
        names.take(named(track, f"n{track}", 6.0))
    assert names.of("door", 1) == "" and len(names.given()) == 1024
