"""Pictures of the page while the pipeline runs: the ones in the README.

    .venv-dev/bin/python tests/bench/page_picture.py --clip clip.mkv --doing clap --out docs/page.png
    .venv-dev/bin/python tests/bench/page_picture.py --camera actor --and-camera actor:5 --name Ann --light \\
        --after 24 --out docs/page_two.png
    .venv-dev/bin/python tests/bench/page_picture.py --camera actor --phone --after 14 --out docs/page_phone.png

`--clip`: a video, shown there and back again and again by a network camera, for it is live that way. Needs Debian's
chromium. A picture is taken `--after` seconds after the page has shown the first event; `--doing`: and
while somebody does this. `--and-camera`: a second camera at the same pipeline, beside the first. `--name`: what the
first person is called.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDE, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=780)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camera", default="actor")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--after", type=float, default=1.0)
    parser.add_argument("--doing", default="")
    parser.add_argument("--port", type=int, default=8799)
    parser.add_argument("--people", default="1")
    parser.add_argument("--and-camera", default="")
    parser.add_argument("--robot", default="")
    parser.add_argument("--name", default="")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--phone", action="store_true")
    options = parser.parse_args()
    started: list[subprocess.Popen[bytes]] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="skel-") as folder:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        page = browser.new_page(
            viewport=PHONE if options.phone else WIDE, device_scale_factor=2 if options.phone else 1,
            color_scheme="light" if options.light else "dark",
        )  # fmt: skip
        try:
            if options.clip is not None:
                started.append(network_camera(options.clip, Path(folder, "clip"), options.port + 1))
                options.camera = f"http://127.0.0.1:{options.port + 1}/"
            for command in commands(options, folder):
                started.append(subprocess.Popen([sys.executable, "-m", "skelstream", *command], cwd=folder))
            opened(page, f"http://127.0.0.1:{options.port}/", started[-1])
            if options.and_camera:
                page.get_by_role("button", name="All").click(timeout=120_000)
            page.wait_for_selector("#events li", state="attached", timeout=120_000)
            time.sleep(options.after)
            if options.name:
                page.keyboard.press("n")
                page.keyboard.type(options.name)
                page.keyboard.press("Enter")
                page.wait_for_selector(f"#people .called >> text={options.name}")
            if options.doing:
                page.wait_for_selector(f"#people .action:text-is('{options.doing}')", timeout=300_000)
                time.sleep(0.3)  # the picture in which it is believed comes a little later
            page.evaluate("() => document.activeElement.blur()")
            page.mouse.move(1, 1)
            page.screenshot(path=options.out)
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
            browser.close()
    Image.open(options.out).convert("RGB").save(options.out, optimize=True)
    return 0


def network_camera(clip: Path, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A camera that shows this video."""
    folder.mkdir()
    video = cv2.VideoCapture(str(clip))
    for n in itertools.count():
        read, picture = video.read()
        if not read:
            break
        cv2.imwrite(str(folder / f"{n:05}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return subprocess.Popen([sys.executable, str(Path(__file__).with_name("camera_server.py")), str(port), str(folder)])


def commands(options: argparse.Namespace, folder: str) -> Sequence[Sequence[str]]:
    """What runs: all of it in one command, or, for two cameras, each part by itself at one place."""
    people = ("--people", options.people)
    port = ("--port", str(options.port))
    if not options.and_camera:
        robot = ("--robot", options.robot) if options.robot else ()
        return [("live", "--camera", source(options.camera), *port, *people, *robot)]
    at = ("--at", f"{folder}/at")
    cameras = [("pose", "--camera", source(camera), *people, *at) for camera in (options.camera, options.and_camera)]
    return [("decode", *at), ("view", *port, *at), ("detect", *at), *cameras]


def source(camera: str) -> str:
    """The camera; a path that is relative here is not where the pipeline runs."""
    return str(Path(camera).resolve()) if Path(camera).exists() else camera


def opened(page: Any, url: str, pipeline: "subprocess.Popen[bytes]") -> None:
    """Open the page as soon as it is there."""
    deadline = time.monotonic() + 120
    while pipeline.poll() is None and time.monotonic() < deadline:
        try:
            page.goto(url)
            return
        except Exception:  # the page is not up yet
            time.sleep(0.2)
    raise SystemExit("the pipeline does not run")


if __name__ == "__main__":
    sys.exit(main())
