"""What the stages have to say, on stderr: a line each, or a JSON object each for programs that collect logs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


class Log:
    """Tells what it is told. `told`: how many lines so far."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self.told = 0

    def tell(self, stage: str, message: str) -> None:
        """`stage` is empty for what the pipeline as a whole has to say."""
        self.told += 1
        if self._json:
            fields = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": stage, "message": message}
            print(json.dumps(fields), file=sys.stderr, flush=True)
        else:
            print(f"skelstream {stage}".strip() + f": {message}", file=sys.stderr, flush=True)
