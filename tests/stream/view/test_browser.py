"""The page in a real browser: the picture, what it says of people, cameras and stages, and its connection."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from skelstream.stream.wire import (
    UNKNOWN,
    AnyMessage,
    Bus,
    Decision,
    End,
    Event,
    Lost,
    Preview,
    Publisher,
    Report,
    Subscriber,
    Tracks,
)


def test_the_page_shows_picture_skeleton_action_and_lane(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    past = (made.decision(0, (0,) * 20 + (2,) * 40), made.event("start", 20 / 30, None), made.report("pose", dropped=4))
    with made.serving(feed, port), made.streaming(feed, *past):
        page.goto(f"http://127.0.0.1:{port}/")
        made.shows(page, "#people .action", "wave")
        made.shows(page, "#people .badge", "A")
        made.shows(page, "#people .share", "70 %")
        made.shows(page, "#spoken", "A: wave")
        made.shows(page, "#status-text", "live")
        made.shows(page, "#lanes li.now", "wave")
        made.shows(page, "#events .name", "wave")
        made.shows(page, "#p50", "200")
        made.shows(page, "#drops", "4")
        page.wait_for_function("() => document.getElementById('fps').textContent === '30.0'")
        assert page.locator("#lanes li").all_text_contents() == list(made.CLASSES[1:])

        page.wait_for_selector(".tile[data-seq]", state="visible")
        for x, y in ((20, 20), (600, 400)):
            seen = page.evaluate(made.PIXEL, [".picture", *made.on_screen(page, x, y)])
            assert np.allclose(seen, (*made.ORANGE[::-1], 255), atol=12)

        colour = page.evaluate("async () => (await import('/page/marks.js')).colourOf('A')")
        blue = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert page.evaluate(made.PIXEL, [".picture", *made.on_screen(page, *made.WRIST)]) == [*blue, 255]
        beside = page.evaluate(made.PIXEL, [".picture", *made.on_screen(page, made.WRIST[0], made.WRIST[1] + 60)])
        assert np.allclose(beside, (*made.ORANGE[::-1], 255), atol=12)
        label = page.evaluate(made.PIXEL, [".picture", *made.on_screen(page, 320, 60)])
        assert not np.allclose(label, (*made.ORANGE[::-1], 255), atol=60)  # over the head

        lanes = page.evaluate("""() => {
          const box = timeline.getBoundingClientRect(), scale = timeline.height / box.height;
          const lane = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--lane-height"));
          return [0, 1, 2].map((row) => {
            const y = Math.round((row + 0.5) * lane * scale);
            const line = timeline.getContext("2d").getImageData(0, y, timeline.width, 1).data;
            return Array.from({ length: timeline.width }, (_, x) => [...line.slice(4 * x, 4 * x + 3)].join());
          });
        }""")
        bars = [row.count(",".join(map(str, blue))) for row in lanes]
        assert bars[0] == bars[2] == 0
        # 40 ticks of the 30 s; the letter and the rounded ends are not of the plain colour.
        assert bars[1] == pytest.approx(len(lanes[1]) * (40 / 30) / 30, abs=16)


def test_the_page_shows_the_unknown_as_a_state_of_its_own(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port), made.streaming(feed, made.decision(0, (0,) * 20 + (UNKNOWN,) * 40)):
        page.goto(f"http://127.0.0.1:{port}/")
        made.shows(page, "#people .unknown .action", "unknown")
        made.shows(page, "#people .unknown .share", "30 %")
        made.shows(page, "#lanes li.now", "unknown")


def test_the_page_says_what_it_is_waiting_for(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port):
        page.goto(f"http://127.0.0.1:{port}/")
        made.shows(page, "#notice", "waiting for the camera")
        with made.streaming(feed, ids=()):
            made.shows(page, "#notice", "nobody in the picture")
        with made.streaming(feed, from_seq=3000):
            made.shows(page, "#status-text", "live")
            assert page.locator("#notice").is_hidden()
        feed.put(End(camera="door"))
        made.shows(page, "#notice", "stream ended")
    made.shows(page, "#notice", "connecting…")


def test_the_page_says_that_the_camera_is_lost_why_and_since_when(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port):
        page.goto(f"http://127.0.0.1:{port}/")
        with made.streaming(feed, made.decision(0, (2,) * 60)):
            made.shows(page, "#people .action", "wave")
            page.wait_for_selector(".tile[data-seq]", state="visible")
        feed.put(Lost(camera="door", at=1e9 + 9000, reason="it was unplugged"))
        made.shows(page, "#status-text", "camera lost")
        since = page.evaluate("new Date(1000 * (1e9 + 9000)).toLocaleTimeString()")
        lost = f"camera lost\nit was unplugged\nsince {since}; it is tried again until it is back"
        assert page.locator("#notice").inner_text() == lost
        assert page.locator("#people .action").count() == 0
        with made.streaming(feed, from_seq=30 * 9001):
            made.shows(page, "#status-text", "live")
            assert page.locator("#notice").is_hidden()


def test_the_page_shows_a_stale_stage_in_amber(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    stale = msgspec.structs.replace(made.report("pose", state="stale", gauge=2.0), gauges={"age_s": 60.0})
    with made.serving(feed, port), made.streaming(feed, stale, made.report("camera")):
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Health").click()
        page.wait_for_selector("#stages .ready >> text=camera")
        assert "stale · no frame for 6" in page.locator("#stages .stale .detail").inner_text()
        colours = "[...document.querySelectorAll('#stages .sign')].map((sign) => getComputedStyle(sign).color)"
        assert page.evaluate(colours) == ["rgb(52, 211, 153)", "rgb(251, 191, 36)"]  # page.css: --good, --warn


def test_the_page_opens_with_the_token_alone_and_says_when_it_is_no_longer_good(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port, host="0.0.0.0", token="the-token-of-today"), made.streaming(feed):
        assert page.goto(f"http://127.0.0.1:{port}/").status == 401
        assert "needs its token" in page.inner_text("body")
        page.goto(f"http://127.0.0.1:{port}/?token=the-token-of-today")
        assert page.url == f"http://127.0.0.1:{port}/"
        made.shows(page, "#status-text", "live")
        assert page.evaluate("document.cookie") == ""  # no script can read it
        page.reload()
        made.shows(page, "#status-text", "live")
    with made.serving(feed, port, host="0.0.0.0", token="the-token-of-tomorrow"), made.streaming(feed):
        page.wait_for_selector("#notice >> text=token is no longer good")
        page.goto(f"http://127.0.0.1:{port}/?token=the-token-of-tomorrow")
        made.shows(page, "#status-text", "live")


def test_the_page_connects_again_after_the_server_was_restarted(made: Any, page: Any) -> None:
    port = made.free_port()
    with made.serving(feed := made.QueueFeed(), port), made.streaming(feed):
        page.goto(f"http://127.0.0.1:{port}/")
        made.shows(page, "#status-text", "live")
    made.shows(page, "#status-text", "connecting…")
    with (
        made.serving(feed := made.QueueFeed(), port),
        made.streaming(feed, made.decision(5000, (3,) * 9), from_seq=5000),
    ):
        made.shows(page, "#status-text", "live")
        made.shows(page, "#people .action", "bow")
        page.wait_for_function("() => Number(document.querySelector('.tile').dataset.seq) >= 5000")


def test_the_viewer_chooses_the_camera(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    garden: list[AnyMessage] = [made.preview(900, "garden"), made.tracks(900, (1, 2), "garden")]
    with made.serving(feed, port), made.streaming(feed, *garden):
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector(".tile[data-camera=door][data-seq]")
        page.get_by_role("button", name="garden").click()
        page.wait_for_selector(".tile[data-camera=garden][data-seq]")
        page.wait_for_selector("button[aria-pressed=true] >> text=garden")
        page.get_by_role("button", name="door").click()
        page.wait_for_selector(".tile[data-camera=door][data-seq]")


def test_a_page_from_elsewhere_cannot_watch(made: Any, page: Any) -> None:
    """A real page of another origin: another port is another origin."""
    port, elsewhere = made.free_port(), made.free_port()
    knock = """port => new Promise(done => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/live`);
      socket.onopen = () => done("open");
      socket.onerror = () => done("refused");
    })"""
    with made.serving(made.QueueFeed(), port), made.serving(made.QueueFeed(), elsewhere):
        # An error page has no content security policy of ours: it is the server alone that refuses here.
        page.goto(f"http://127.0.0.1:{elsewhere}/no-such-page")
        assert page.evaluate(knock, elsewhere) == "open"
        assert page.evaluate(knock, port) == "refused"


def test_messages_travel_from_a_stage_over_the_bus_into_the_page(made: Any, page: Any, tmp_path: Any) -> None:
    port, inlet, outlet = made.free_port(), f"ipc://{tmp_path}/in", f"ipc://{tmp_path}/out"
    bus = Bus(inlet, outlet)
    try:
        feed = Subscriber(outlet, (Preview, Tracks, Decision, Event, Report, End))
        with feed, Publisher(inlet) as stage, made.serving(feed, port):
            made.until(lambda: stage.wanted(End), "the last subscription")
            page.goto(f"http://127.0.0.1:{port}/")
            for message in (made.preview(60), made.tracks(60), made.decision(0, (3,) * 60), made.report("pose")):
                stage.publish(message)
            page.wait_for_selector(".tile[data-seq='60']")
            made.shows(page, "#people .action", "bow")
            page.get_by_role("tab", name="Health").click()
            made.shows(page, "#stages .name", "pose")
    finally:
        bus.close()
