"""What is beside the picture: other cameras, the robot, recordings, lessons; dark and light, a phone, keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skelstream.stream.listening import run_view
from skelstream.stream.settings import Settings
from skelstream.stream.stage import Stage
from skelstream.stream.wire import AnyMessage, Bus, Publisher, Recording, Report, Subscriber, Taught, Teach, replaced


@contextmanager
def served(made: Any, *more: AnyMessage, **options: Any) -> Iterator[tuple[str, Any]]:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port, **options), made.streaming(feed, *more):
        yield f"http://127.0.0.1:{port}/", feed


def test_cameras_are_shown_side_by_side_and_chosen_by_number(made: Any, page: Any) -> None:
    blue = made.jpeg((200, 60, 30))
    garden = (made.preview(900, "garden", picture=blue), made.tracks(900, (1, 2), "garden"))
    with served(made, *garden) as (url, _):
        page.goto(url)
        page.wait_for_selector(".tile[data-camera=door][data-seq]")
        page.wait_for_selector("#cameras button >> text=garden")
        page.keyboard.press("0")
        page.wait_for_selector(".tile[data-camera=garden][data-seq='900']")
        door, other = (page.locator(f".tile[data-camera={name}]").bounding_box() for name in ("door", "garden"))
        assert door["y"] == other["y"] and door["width"] == other["width"] and door["x"] + door["width"] < other["x"]
        selector = ".tile[data-camera=garden] .picture"
        x, y = other["x"] + other["width"] / 2, other["y"] + 0.42 * other["height"]
        red, green, blue_ = page.evaluate(made.PIXEL, [selector, x + 60, y])[:3]
        assert blue_ > 150 and red < 90 and green < 110
        page.keyboard.press("2")
        page.wait_for_selector(".tile[data-camera=garden]:only-child")
        page.get_by_role("button", name="All").click()
        page.get_by_role("button", name="door, 1 in the picture: show it large").click()
        page.wait_for_selector(".tile[data-camera=door]:only-child")


def test_the_robot_is_drawn_where_its_joints_are_and_says_what_it_does(made: Any, page: Any) -> None:
    # Where across the panel, 0 to 1, the uppermost of the robot is.
    uppermost = """() => {
      const canvas = document.getElementById('robot-canvas');
      const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const found = [];
      for (let i = 3; i < data.length && found.length < 200; i += 4)
        if (data[i] > 250) found.push((i >> 2) % width / width);
      return found.reduce((sum, x) => sum + x, 0) / found.length;
    }"""
    with served(made) as (url, feed):
        page.goto(url)
        made.shows(page, "#status-text", "live")
        assert page.locator("#robot").is_hidden()
        across = []
        for hand_m in (1.0, 2.4):
            stop = threading.Event()

            def moving(hand_m: float = hand_m, stop: threading.Event = stop) -> None:
                while not stop.wait(0.05):
                    feed.put(made.robot(time.time(), hand_m))

            thread = threading.Thread(target=moving)
            thread.start()
            page.wait_for_selector("#robot-canvas[data-points='12']")
            words = "wave · for A\nsomebody waves\nreacted in 321 ms"
            page.wait_for_function("(text) => document.getElementById('robot-words').innerText === text", arg=words)
            made.shows(page, "#robot-state", "acting")
            page.wait_for_timeout(400)  # until the poses of before are out of what is drawn
            across.append(page.evaluate(uppermost))
            before = page.evaluate("() => document.getElementById('robot-canvas').toDataURL()")
            page.locator("#robot-canvas").focus()
            page.keyboard.press("ArrowLeft")
            page.wait_for_function(
                "(before) => document.getElementById('robot-canvas').toDataURL() !== before", arg=before
            )
            page.keyboard.press("ArrowRight")
            stop.set()
            thread.join()
        assert "acting, wave" in page.evaluate("() => document.getElementById('robot-canvas').ariaLabel")
        assert across[1] < across[0] - 0.05  # its head, and then its right hand, which is on our left
        feed.put(replaced(made.robot(time.time()), state="safe", behaviour="", because="told to stop", reacted_ms=None))
        made.shows(page, "#robot-state", "safe")
        page.wait_for_function(
            "() => document.getElementById('robot-words').innerText === 'keeps still\\ntold to stop'"
        )


def test_a_recording_is_asked_for_and_shown_until_it_is_over(made: Any, page: Any) -> None:
    published: list[AnyMessage] = []

    def said(state: Any, message: str, pid: int) -> AnyMessage:
        measured = {"recorded_mb": 1.5, "recording_s": 65.0}
        told: Report = made.report("record@page", pid=pid, state=state)
        return replaced(told, message=message, gauges=measured)

    with served(made, publish=published.append) as (url, feed):
        page.goto(url)
        made.shows(page, "#record-text", "Record")
        page.keyboard.press("r")
        made.until(lambda: len(published) == 1, "the wish")
        feed.put(said("failed", "cannot write recordings: Permission denied; mend that, and try again", 1))
        page.wait_for_selector("#toast >> text=cannot write recordings: Permission denied")
        made.shows(page, "#record-text", "Record")
        page.get_by_role("button", name="Start a recording").click()
        feed.put(said("ready", "writes 2026-07-14-081502.skel", 2))
        made.shows(page, "#record-text", "1:05 · 1.5 MB")
        page.wait_for_selector("#toast >> text=recordings/2026-07-14-081502.skel")
        page.get_by_role("button", name="Stop the recording").click()
        feed.put(said("ended", "", 2))
        made.shows(page, "#record-text", "Record")
        page.keyboard.press("r")  # and this time nobody is there
        page.wait_for_selector("#toast >> text=Nobody here can record for you")
    assert [wish.op for wish in published if isinstance(wish, Recording)] == ["start", "start", "stop", "start"]


def test_a_lesson_is_held_with_whoever_teaches_on_the_real_bus(
    made: Any, new_page: Callable[..., Any], tmp_path: Path
) -> None:
    """The view as a stage of its own; the test is the teacher at the other end of the bus."""
    settings = Settings(folder=str(tmp_path), port=made.free_port())
    place = settings.place
    bus = Bus(place.here("bus-in"), place.here("bus-out"))
    stage = Stage("view", place)
    viewing = threading.Thread(target=run_view, args=(stage, settings))
    viewing.start()
    try:
        with Subscriber(place.link("bus-out"), (Teach,)) as wishes, Publisher(place.link("bus-in")) as teacher:
            made.until(lambda: teacher.wanted(Taught), "the view")
            page, other = new_page(), new_page()
            for tab in (page, other):
                tab.goto(f"http://127.0.0.1:{settings.port}/")

            def told(**fields: Any) -> None:
                teacher.publish(Taught(at=time.time(), **{"actions": (), **fields}))

            def asked(op: str) -> Teach:
                wish = wishes.receive(made.PATIENCE_S)
                assert isinstance(wish, Teach) and wish.op == op
                return wish

            page.keyboard.press("t")
            page.fill("#lesson-action", "high five")
            page.fill("#lesson-shots", "2")
            page.keyboard.press("Enter")
            assert (wish := asked("begin")) and (wish.action, wish.shots) == ("high_five", 2)
            told(state="get ready", action="high_five", shots=2, message="stand where you are seen")
            made.shows(page, "#lesson-state", "Get ready…")
            told(state="show it", action="high_five", shown=1, shots=2)
            made.shows(page, "#lesson-state", "Show it now 2/2")
            assert page.locator("#lesson-shown .done").count() == 1
            page.get_by_role("button", name="Once more").click()
            asked("again")
            told(state="learning", action="high_five", shown=2, shots=2)
            made.shows(other, "#lesson-state", "Learning…")
            told(actions=("high_five",), message="high_five is learnt from 2 showings")
            made.shows(page, "#taught .name", "high five")
            other.get_by_role("tab", name="Sensitivity").click()
            other.wait_for_selector("#tuned [data-action=high_five]")  # it is an action like any other
            page.get_by_role("button", name="Rename high five").click()
            page.keyboard.type("salute")
            page.keyboard.press("Enter")
            assert (wish := asked("rename")) and (wish.action, wish.to) == ("high_five", "salute")
            told(actions=("salute",))
            page.get_by_role("button", name="Forget salute").click()
            made.shows(page, "#taught .forget", "Really?")
            page.get_by_role("button", name="Forget salute").click()
            assert asked("forget").action == "salute"
            told()
            page.wait_for_selector("#no-taught", state="visible")
            page.keyboard.press("Escape")
            assert page.locator("#teaching").is_hidden()
    finally:
        stage.stop.set()
        viewing.join()
        stage.bus.close()
        bus.close()


def test_where_nobody_teaches_the_page_says_so(made: Any, page: Any) -> None:
    with served(made) as (url, _):
        page.goto(url)
        page.get_by_role("button", name="Teach a new action").click()
        page.fill("#lesson-action", "wave")
        page.keyboard.press("Enter")
        page.wait_for_selector("#lesson-refused >> text=a name that exists")
        page.fill("#lesson-action", "salute")
        page.keyboard.press("Enter")
        page.wait_for_selector("#lesson-refused >> text=Nobody here can learn")


def test_dark_and_light_are_chosen_and_remembered(made: Any, browser: Any) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    with served(made) as (url, _):
        context = browser.new_context(color_scheme="light")
        page = context.new_page()
        page.goto(url)
        light = page.evaluate(ground)
        page.keyboard.press("d")
        dark = page.evaluate(ground)
        page.reload()
        assert page.evaluate(ground) == dark != light
        page.get_by_role("button", name="Dark or light").click()
        page.reload()
        assert page.evaluate(ground) == light
        context.close()


def test_on_a_phone_nothing_is_wider_than_the_screen_and_targets_can_be_hit(
    made: Any, new_page: Callable[..., Any]
) -> None:
    acted = (made.decision(0, (0,) * 20 + (2,) * 40), made.event("start", 20 / 30, None), made.report("pose"))
    page = new_page(width=360, height=740, has_touch=True, reduced_motion="reduce")
    with served(made, *acted, made.robot(1.0), made.tracks(900, (1,), "the second camera of the garden")) as (url, _):
        page.goto(url)
        made.shows(page, "#people .action", "wave")
        page.wait_for_selector("#robot", state="visible")
        for name in ("Events", "Sensitivity", "Health"):
            page.get_by_role("tab", name=name).tap()
            assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
        sizes = page.evaluate(
            "() => [...document.querySelectorAll('.tool, [role=tab], .zoom button:not([hidden])')]"
            ".map((node) => node.getBoundingClientRect()).map(({ width, height }) => Math.min(width, height))"
        )
        assert min(sizes) >= 34
        page.get_by_role("button", name="Teach a new action").tap()
        box = page.locator("#teaching").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_everything_is_reached_by_key_and_nothing_traps_it(made: Any, page: Any) -> None:
    acted = (made.decision(0, (0,) * 20 + (2,) * 40), made.event("start", 20 / 30, None))
    with served(made, *acted, made.robot(1.0)) as (url, _):
        page.goto(url)
        made.shows(page, "#events .name", "wave")
        page.wait_for_selector("#robot", state="visible")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("() => (document.activeElement.id || document.activeElement.className).split(' ')[0]")
            )
            if reached[-1] and reached[-1] in reached[:-1]:
                break
        expected = [
            "record",
            "teach",
            "theme",
            "help",
            "robot-canvas",
            "called",
            "tab-events",
            "event",
            "zoom-in",
            "timeline",
        ]
        assert [one for one in expected if one not in reached] == []
        page.keyboard.press("?")
        page.wait_for_selector("#helping[open] >> text=all cameras side by side")
        page.get_by_label("Single letters act").uncheck()
        page.keyboard.press("Escape")
        page.keyboard.press("t")
        assert page.locator("#teaching").is_hidden()
        named = page.evaluate(
            "() => [...document.querySelectorAll('button, input, select, canvas')]"
            ".filter((node) => node.checkVisibility())"
            ".filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))"
            ".map((node) => node.outerHTML)"
        )
        assert named == []
