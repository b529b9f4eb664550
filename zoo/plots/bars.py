"""Bars of methods: the mean over seeds, and each seed as a point."""

import numpy as np

from zoo.plots.figure import new_figure


def bars(values, x_label):
    """Draw one bar a method.

    Args:
        values: dict, method -> values, one a seed; the first method is at the top.
        x_label: what they are.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if there is no method, or one has no values.
    """
    if not values or not all(len(v) for v in values.values()):
        raise ValueError(f"`values` must hold a list of values for each method. Received: {values}")
    figure = new_figure(5, 0.6 + 0.4 * len(values))
    axis, places = figure.subplots(), np.arange(len(values))[::-1]
    means = [float(np.mean(v)) for v in values.values()]
    axis.barh(places, means, height=0.6, color="C0", alpha=0.5)
    for place, seeds in zip(places, values.values()):
        axis.plot(seeds, [place] * len(seeds), "o", color="C0", markersize=4)
    every = [float(value) for seeds in values.values() for value in seeds]
    # bars that are all long are compared at their ends
    if min(every) > 0:
        axis.set_xlim(left=max(0.0, min(every) - max(max(every) - min(every), 0.1 * max(every))))
    axis.set(yticks=places, yticklabels=list(values), xlabel=x_label)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
