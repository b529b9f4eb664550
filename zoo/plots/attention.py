"""Heat maps of attention: what a memory network looks at, hop by hop."""

import numpy as np

from zoo.plots.figure import new_figure


def attention_hops(sentences, question, weights, answer=None, support=()):
    """Draw the attention of every hop on every sentence.

    Args:
        sentences: list of texts, one a row.
        question: text of the title.
        weights: `(hops, sentences)`, as `MemN2N.attention` gives.
        answer: text that follows the question.
        support: positions of the sentences that give the answer; their text is bold.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    weights = np.asarray(weights)
    hops, rows = weights.shape
    figure = new_figure(0.7 * hops + 3.5, 0.28 * rows + 1.1)
    axis = figure.subplots()
    axis.imshow(weights.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(hops), [f"hop {hop}" for hop in range(1, hops + 1)])
    axis.set_yticks(range(rows), list(sentences))
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    for row, label in enumerate(axis.get_yticklabels()):
        label.set_fontweight("bold" if row in support else "normal")
        for hop in range(hops):
            value = weights[hop, row]
            axis.text(hop, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if value > 0.5 else "black")
    axis.set_xlabel(question if answer is None else f"{question} {answer}")
    return figure
