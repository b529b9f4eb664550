"""Figures of activation statistics during training."""


def mean_activations(histories, title="Mean activation of the units"):
    """Mean activation and bias shift of the units, epoch by epoch.

    Args:
        histories: name -> `history` dict of a fit with `zoo.callbacks.ActivationStatistics`.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Figures need matplotlib: pip install 'zoo-keras[plots]'") from error

    figure = Figure(figsize=(9, 3.5), layout="constrained")
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
