"""People on the page: names that one can set, bars that move, sensitivity, and what other tabs see of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skelstream.stream.wire import AnyMessage, Glimpse, Tuned

NAME = "#naming-name"


@contextmanager
def served(made: Any, *more: AnyMessage, ids: tuple[int, ...] = (7,), **options: Any) -> Iterator[tuple[str, Any]]:
    """A page with a camera that runs; its address and its feed, which hears what is published like any other."""
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port, **options), made.streaming(feed, *more, ids=ids):
        yield f"http://127.0.0.1:{port}/", feed


def test_a_name_is_set_by_key_and_seen_everywhere_and_in_the_other_tab(made: Any, new_page: Callable[..., Any]) -> None:
    acted = (made.decision(0, (0,) * 20 + (2,) * 40), made.event("start", 20 / 30, None))
    with served(made, *acted, ids=(7, 9)) as (url, _):
        page, other = new_page(), new_page()
        page.goto(url)
        other.goto(url)
        page.get_by_role("button", name="Person A: set a name").focus()
        page.keyboard.press("Enter")
        page.keyboard.type("Ann")
        page.keyboard.press("Enter")
        for tab in (page, other):
            made.shows(tab, "#people .called .name", "Ann")
            made.shows(tab, "#events .name", "Ann wave")
        assert page.locator("#naming").is_hidden()
        made.shows(page, "#spoken", "Ann: wave")
        page.wait_for_function("async () => (await import('/page/session.js')).names.get(7) === 'Ann'")

        other.get_by_role("button", name="Person B: set a name").click()
        other.fill(NAME, "ann")
        other.keyboard.press("Enter")
        other.wait_for_selector("#naming-refused >> text=a name that exists: person A is called ann already")
        other.fill(NAME, "Bob")
        other.keyboard.press("Enter")
        page.wait_for_selector("#people .called >> text=Bob")
        page.get_by_role("button", name="Person A, Ann: set a name").click()
        page.fill(NAME, "")
        page.keyboard.press("Enter")
        other.wait_for_selector("#people .called.nameless")
        page.keyboard.press("n")  # and with Escape nothing happens
        page.keyboard.type("x")
        page.keyboard.press("Escape")
        assert page.locator("#naming").is_hidden()


def test_the_label_in_the_picture_is_clicked_to_name_somebody(made: Any, page: Any) -> None:
    with served(made) as (url, _):
        page.goto(url)
        page.wait_for_selector(".tile[data-seq]")
        page.mouse.click(*made.on_screen(page, 320, 55))
        page.wait_for_selector("#naming[open]")
        page.keyboard.type("Ann")
        page.keyboard.press("Enter")
        made.shows(page, "#people .called .name", "Ann")


def test_bars_of_every_action_move_with_the_glimpses_in_an_order_that_stays(made: Any, page: Any) -> None:
    with served(made, marks=[0.5, 0.5, 0.6, 0.45]) as (url, feed):
        page.goto(url)
        made.until(lambda: feed.kinds == {Glimpse}, "the page's asking for glimpses")
        rows = "[...document.querySelectorAll('.bars li')].map((row) => row.textContent)"
        for shares in ((0.1, 0.2, 0.65, 0.05), (0.05, 0.7, 0.1, 0.15)):
            stop = threading.Event()

            def glimpse(shares: tuple[float, ...] = shares, stop: threading.Event = stop) -> None:
                tick = 60
                while not stop.wait(0.03):
                    feed.put(made.glimpse(tick, *shares))
                    tick += 1

            thread = threading.Thread(target=glimpse)
            thread.start()
            wanted = [f"{name}{round(100 * share)}" for name, share in zip(made.CLASSES[1:], shares[1:], strict=True)]
            page.wait_for_function(f"(wanted) => JSON.stringify({rows}) === JSON.stringify(wanted)", arg=wanted)
            stop.set()
            thread.join()
        assert page.evaluate("[...document.querySelectorAll('.bars .threshold')].map((m) => m.style.left)") == [
            "50%", "60%", "45%",
        ]  # fmt: skip
        assert page.locator(".bars li.over .name").all_text_contents() == ["squat"]
        page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
        made.until(lambda: feed.kinds == set(), "nobody's looking")


def test_sliders_act_at_once_in_every_tab_and_are_reset(made: Any, new_page: Callable[..., Any]) -> None:
    published: list[AnyMessage] = []
    with served(made, publish=published.append) as (url, _):
        page, other = new_page(), new_page()
        page.goto(url)
        other.goto(url)
        for tab in (page, other):
            tab.get_by_role("tab", name="Sensitivity").click()
            made.shows(tab, "#enter-value", "as fitted")
        page.locator("#enter").focus()
        for _ in range(10):
            page.keyboard.press("ArrowRight")
        made.shows(page, "#enter-value", "+10 %")
        made.shows(other, "#enter-value", "+10 %")
        other.locator("#belief").focus()
        for _ in range(10):
            other.keyboard.press("ArrowRight")
        made.shows(page, "#belief-value", "2.0 ×")
        page.get_by_role("button", name="Never say wave").click()
        made.shows(other, "#tuned [data-action=wave] .value", "never")
        page.wait_for_selector(".bars .silent >> text=wave")
        newest = [message for message in published if isinstance(message, Tuned)][-1]
        assert (newest.enter, newest.belief, newest.actions) == (0.1, 2.0, {"wave": 1.0})
        other.get_by_role("button", name="Reset all").click()
        made.shows(page, "#enter-value", "as fitted")
        made.shows(page, "#tuned [data-action=wave] .value", "50 %")
