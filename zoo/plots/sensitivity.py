"""Scores of settings that differ from a baseline in one factor."""

from zoo.plots.figure import new_figure


def sensitivity(table, label="score"):
    """Mean, smallest and largest score of each setting, factor by factor.

    Args:
        table: list of dicts with factor, value, is_baseline, mean, min and max; settings of a factor follow each other.
        label: of the axis of scores.

    Returns:
        A `matplotlib.figure.Figure`; the baseline is a dashed line, its spread a grey band.
    """
    figure = new_figure(6.5, 1 + 0.24 * (len(table) + len({row["factor"] for row in table})))
    axis = figure.subplots()
    base = next((row for row in table if row["is_baseline"]), None)
    if base is not None:
        axis.axvspan(base["min"], base["max"], color="grey", alpha=0.15, linewidth=0)
        axis.axvline(base["mean"], color="grey", linestyle="--", linewidth=1)
    factors = list(dict.fromkeys(row["factor"] for row in table))
    places, texts, place = [], [], 0.0
    for i, factor in enumerate(factors):
        for row in (row for row in table if row["factor"] == factor):
            axis.plot([row["min"], row["max"]], [place, place], color=f"C{i % 10}", linewidth=2)
            axis.plot(row["mean"], place, "o", color=f"C{i % 10}", markerfacecolor="white" if row["is_baseline"] else None)
            places.append(place)
            texts.append(f"{factor} = {row['value']}")
            place += 1
        place += 0.7
    axis.set(yticks=places, yticklabels=texts, xlabel=label)
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    return figure
