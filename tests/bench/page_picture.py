"""A picture of the page while the pipeline runs: the one in the README.

    .venv-dev/bin/python tests/bench/page_picture.py --camera clip.mp4 --out docs/page.png --after 20

Needs Debian's chromium. The picture is taken `--after` seconds after the page has shown the first event.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camera", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--after", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=8799)
    parser.add_argument("--people", default="1")
    options = parser.parse_args()
    command = [sys.executable, "-m", "skelstream", "live", "--camera", options.camera, "--port", str(options.port)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        pipeline = subprocess.Popen([*command, "--people", options.people])
        try:
            deadline = time.monotonic() + 120
            while pipeline.poll() is None and time.monotonic() < deadline:
                try:
                    page.goto(f"http://127.0.0.1:{options.port}/")
                    break
                except Exception:  # the page is not up yet
                    time.sleep(0.2)
            page.wait_for_selector("#events li", timeout=120_000)
            time.sleep(options.after)
            page.screenshot(path=options.out)
        finally:
            pipeline.terminate()
            pipeline.wait()
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
