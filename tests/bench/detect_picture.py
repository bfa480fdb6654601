"""What `skelstream.detect` found in a video, as a picture: the one in the README.

Made with `.venv-dev/bin/python tests/bench/detect_picture.py clip.mp4 --out docs/detect.png`.
"""

import argparse
from pathlib import Path

import skelstream


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    skelstream.detect(options.video).plot(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
