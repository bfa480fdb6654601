"""The timeline and the charts: zoom, scroll back, the skeletons of then, and back to now."""

from __future__ import annotations

from typing import Any

import numpy as np

from skelstream.stream.wire import replaced

SPAN = "(async () => { const { span } = await import('/page/span.js'); return { ...span, to: span.to }; })()"


def feed_past(made: Any, feed: Any, seconds: int) -> None:
    """So many seconds of somebody who waves for the first half of every ten, their hand further right every second."""
    for seq in range(0, 30 * seconds, 6):
        pixels = made.standing()[None] + np.array([seq / 30, 0.0])
        feed.put(replaced(made.tracks(seq), pixels=pixels.astype(np.float32)))
    for second in range(seconds):
        feed.put(made.decision(30 * second, ((2,) if second % 10 < 5 else (0,)) * 30))


def test_one_scrolls_back_and_sees_who_was_there_and_comes_back_to_now(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    feed_past(made, feed, 100)
    with made.serving(feed, port), made.streaming(feed, from_seq=3000):
        page.goto(f"http://127.0.0.1:{port}/")
        made.shows(page, "#timeline-title", "Last 30 seconds")
        page.wait_for_selector(".tile[data-seq]")
        page.wait_for_function("async () => (await import('/page/history.js')).past.runs.length >= 10")
        page.keyboard.press("l")
        for _ in range(3):
            page.keyboard.press("-")
        made.shows(page, "#timeline-title", "Last 101 seconds")
        page.keyboard.press("PageUp")
        page.wait_for_selector("#not-live >> text=Not live:")
        span = page.evaluate(SPAN)
        t = span["moment"]
        assert 0 <= t < 60 and page.locator("#back").is_visible()
        # A skeleton in the place of that second, and no picture.
        page.wait_for_function(
            """([x, y]) => {
              const canvas = document.querySelector('.picture'), box = canvas.getBoundingClientRect();
              const k = canvas.width / box.width;
              const [r, g, b] = canvas.getContext('2d').getImageData((x - box.left) * k, (y - box.top) * k, 1, 1).data;
              return r === 56 && g === 189 && b === 248;
            }""",
            arg=[*made.on_screen(page, made.WRIST[0] + t, made.WRIST[1])],
        )
        background = page.evaluate(made.PIXEL, [".picture", *made.on_screen(page, 20, 20)])
        assert max(background[:3]) < 60
        page.keyboard.press("Escape")
        page.wait_for_selector("#not-live", state="hidden")
        made.shows(page, "#status-text", "live")
        page.locator("#events").evaluate("node => node.scrollTop = 0")
        page.mouse.move(*middle(page))
        page.mouse.wheel(0, 400)
        page.wait_for_function(f"() => {SPAN}.then((span) => span.seconds > 101)")
        page.mouse.down()
        x, y = middle(page)
        page.mouse.move(x + 120, y, steps=5)
        page.mouse.up()
        page.wait_for_selector("#not-live", state="visible")
        page.get_by_role("button", name="Back to now").click()
        page.wait_for_selector("#not-live", state="hidden")


def middle(page: Any) -> tuple[float, float]:
    box = page.locator("#timeline").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_what_is_gone_is_said(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    feed.put(made.tracks(0))
    for i in range(5100):  # more runs than are kept
        feed.put(made.decision(30 * i, (1 + i % 2,) * 20 + (0,) * 10))
    with made.serving(feed, port), made.streaming(feed, from_seq=30 * 5100):
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_function("async () => (await import('/page/history.js')).past.from !== null")
        page.keyboard.press("l")
        for _ in range(14):
            page.keyboard.press("-")
        page.keyboard.press("Home")
        page.wait_for_selector("#not-live", state="visible")
        span = page.evaluate(SPAN)
        newest = page.evaluate("(async () => (await import('/page/session.js')).clock.now())()")
        assert span["moment"] >= newest - 3601  # an hour is kept
        page.wait_for_selector("#not-live >> text=no skeleton is kept from then")


def test_charts_show_what_was_late_and_dropped(made: Any, page: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port), made.streaming(feed, made.report("pose")):
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Health").click()
        feed.put(*(made.decision(60 + i, (1,), latency_s=0.2) for i in range(20)))
        feed.put(made.report("pose", dropped=7))
        page.wait_for_function("() => document.getElementById('latency-chart').ariaLabel?.includes('200 ms')")
        page.wait_for_function("() => document.getElementById('drop-chart').ariaLabel?.includes('pose 7')")
        made.shows(page, "#drop-key", "pose")
