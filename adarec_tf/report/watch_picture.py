"""A picture of the checks of a scene: how well new events were predicted, time after time."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adarec_tf.report.picture import BLUE, GREY, ORANGE, SIZE, Picture

_COLORS = {"student": BLUE, "markov": GREY}


def watch_picture(checks: Sequence[Mapping[str, Any]]) -> Picture:
    """Draws NDCG@10 of student and Markov on the new events of each check.

    Args:
      checks: records of `watch.jsonl`, in their order.
    """
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    places = list(range(1, len(checks) + 1))
    for model, color in _COLORS.items():
        now = [check[model]["now"] for check in checks]
        means = [interval["mean"] for interval in now]
        lows, highs = ([interval[end] for interval in now] for end in ("low", "high"))
        axes.fill_between(places, lows, highs, color=color, alpha=0.2, linewidth=0)
        axes.plot(places, means, color=color, marker="o", label=model)
    raised = [place for place, check in zip(places, checks, strict=True) if check["reasons"]]
    for number, place in enumerate(raised):
        axes.axvline(place, color=ORANGE, zorder=0, label=None if number else "not fine")
    axes.set(xlabel="check", ylabel="NDCG@10 on new events", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    told = ", ".join(
        f"check {place}: {check['answer']}, student {check['student']['now']['mean']:.4f}"
        for place, check in zip(places, checks, strict=True)
    )
    return Picture(
        figure,
        "The scene since then",
        f"NDCG@10 on the new events of each check. {told}.",
        "With 95% intervals over events.",
    )
