"""Figures of initialisations: the variance of each layer's output."""

from zoo.plots.figure import new_figure


def layer_variances(reports, title="Variance of the layers' outputs"):
    """Variances by depth, on a logarithmic scale.

    Args:
        reports: name -> list of `zoo.initializers.LayerRecord`, as `zoo.initializers.lsuv` returns them.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(6, 3.5)
    axis = figure.subplots()
    for name, report in reports.items():
        axis.semilogy(range(1, len(report) + 1), [max(r.variance_after, 1e-30) for r in report], ".-", label=name)
    axis.axhline(1, color="black", linewidth=0.5)
    axis.set(title=title, xlabel="layer, in order of execution", ylabel="variance")
    axis.legend()
    return figure
