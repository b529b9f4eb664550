"""Figures of activation statistics during training."""

from zoo.plots.figure import new_figure


def mean_activations(histories, title="Mean activation of the units"):
    """Mean activation and bias shift of the units, epoch by epoch.

    Args:
        histories: name -> `history` dict of a fit with `zoo.callbacks.ActivationStatistics`.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(9, 3.5)
    means, shifts = figure.subplots(1, 2)
    for name, history in histories.items():
        epochs = range(1, len(history["mean_activation"]) + 1)
        (line,) = means.plot(epochs, history["mean_activation"], ".-", label=name)
        shifts.semilogy(epochs, history["bias_shift"], ".-", color=line.get_color(), label=name)
    means.axhline(0, color="black", linewidth=0.5)
    means.set(title=title, xlabel="epoch", ylabel="median over all units")
    shifts.set(title="Bias shift", xlabel="epoch", ylabel="median change of a unit's mean")
    means.legend()
    return figure
