"""Pictures of a scene: how long histories are, and how popular items."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from adarec_tf.report.picture import BLUE, SIZE, Picture


def lengths_picture(lengths: Sequence[tuple[str, int]]) -> Picture:
    """Bars of histories by their length.

    Args:
      lengths: a range of lengths and how many histories have one of it.
    """
    names, counts = zip(*lengths, strict=True)
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    axes.bar(names, counts, color=BLUE)
    axes.set(xlabel="items of a training history", ylabel="histories")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(axis="x", labelrotation=45 if len(names) > 6 else 0)
    alt = ", ".join(f"{name} items: {count:,}" for name, count in lengths)
    return Picture(figure, "Lengths of histories", f"Histories by length. {alt}.")


def popularity_picture(popularity: Sequence[tuple[int, int]], top_share: float) -> Picture:
    """A line of interactions by rank of the item.

    Args:
      popularity: ranks from 1 and training interactions of the item there.
      top_share: of the interactions, with the most popular hundredth of the items.
    """
    ranks, counts = zip(*popularity, strict=True)
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    axes.plot(ranks, counts, color=BLUE)
    axes.set(xscale="log", yscale="symlog", ylim=(0, None))
    axes.set(xlabel="item, by popularity", ylabel="training interactions")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(EngFormatter(sep=""))
    return Picture(
        figure,
        "Popularity of items",
        f"From {counts[0]:,} interactions of the most popular item to {counts[-1]:,} of the last "
        f"of {ranks[-1]:,}.",
        f"The most popular hundredth of the items has {top_share:.1%} of the interactions.",
    )
