"""A picture of `skelstream bench teach`: what is recognised, and what it costs, against how often it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LOOKS = {"encoder": ("#1f6fb2", "o", "-"), "random": ("#b26a1f", "s", "--"), "neighbour": ("#777777", "^", ":")}
_NAMES = {"encoder": "the model's encoder", "random": "an encoder never trained", "neighbour": "nearest joints"}
_TOLD = {"unnamed": "no label ever told", "background": "told as background"}


def draw_shots(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write it: a column for each kind of class and shower; what is found, what is said for nothing, what is lost."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = list(dict.fromkeys((row["told"], row["shower"]) for row in rows))
    figure, axes = pyplot.subplots(
        3, len(kinds), figsize=(3.4 * len(kinds), 8), sharex=True, sharey="row", squeeze=False
    )
    for column, (told, shower) in enumerate(kinds):
        found, false, cost = axes[:, column]
        for method, (colour, marker, line) in _LOOKS.items():
            some = [row for row in rows if (row["told"], row["shower"], row["method"]) == (told, shower, method)]
            shots = [row["shots"] for row in some]
            error = [row["events_spread"] / row["lessons"] ** 0.5 for row in some]
            found.errorbar(
                shots, [row["events"] for row in some], yerr=error,
                color=colour, marker=marker, linestyle=line, label=_NAMES[method], capsize=3,
            )  # fmt: skip
            false.plot(shots, [row["false_an_hour"] for row in some], color=colour, marker=marker, linestyle=line)
            lost = [100 * (row["accuracy_before"] - row["accuracy_after"]) for row in some]
            cost.plot(shots, lost, color=colour, marker=marker, linestyle=line)
        who = "the same person" if shower == "same" else "other people"
        found.set_title(f"{_TOLD[told]},\nshown by {who}", fontsize=10)
        found.set_ylim(0, 1.05)
        false.set_yscale("symlog", linthresh=10)
        false.set_ylim(0, 2000)
        cost.set_xscale("log")
        cost.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        cost.minorticks_off()
        cost.set_xlabel("times shown")
        for axis in (found, false, cost):
            axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("share of its clips that are found")
    axes[1, 0].set_ylabel("events of it an hour\nwhere it is not done")
    axes[2, 0].set_ylabel("frame accuracy of the old classes,\npoints lost")
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="lower center", ncols=len(names), fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
