"""Figures hold what they were given, and say what they need."""

import sys

import numpy as np
import pytest

from zoo import plots
from zoo.plots.figure import new_figure


def test_without_matplotlib_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'zoo-keras\[plots\]'"):
        new_figure(1, 1)


def test_image_grid_scales_and_lays_out():
    images = np.linspace(-1, 1, 5)[:, None, None, None] * np.ones((5, 2, 3, 1))
    axes = plots.image_grid(images).axes
    shown = [axis.images[0].get_array().mean() for axis in axes]
    np.testing.assert_allclose(shown[:5], [0, 0.25, 0.5, 0.75, 1])
    assert len(axes) == 6
    titled = plots.image_grid(images[None], ["a row"], title="samples")
    assert titled.axes[0].get_ylabel() == "a row" and titled.get_suptitle() == "samples"
    large = plots.image_grid(images[None], cell=2.0, column_titles=list("abcde"))
    assert [axis.get_title() for axis in large.axes] == list("abcde") and large.get_figwidth() == 10.0


def test_overlay_leaves_the_background_clear():
    mask = np.array([[0, 1], [1, 0]])
    picture, colours = plots.overlay(np.zeros((2, 2)), mask).axes[0].images
    assert (colours.get_array().mask == (mask == 0)).all() and picture.get_array().shape == (2, 2)


def test_attention_hops_mark_the_support():
    figure = plots.attention_hops(["a", "b"], "where?", [[0.25, 0.75]], answer="here", support=[1])
    (axis,) = figure.axes
    assert [label.get_fontweight() for label in axis.get_yticklabels()] == ["normal", "bold"]
    assert [text.get_text() for text in axis.texts] == ["0.25", "0.75"] and axis.get_xlabel() == "where? here"


def test_learning_curves_average_seeds_that_stop_early():
    figure = plots.learning_curves([{"ours": [([1, 2, 3], [0, 2, 4]), ([1, 2], [2, 2])]}], threshold=3)
    mean = figure.axes[0].lines[2]
    np.testing.assert_allclose(mean.get_ydata(), [1, 2, 3])


def test_densities_are_drawn_upright():
    def log_density(z):
        return -0.5 * np.sum((z - np.array([2.0, -1.0])) ** 2, axis=1) - 700.0

    figure = plots.densities({"a row": [log_density, log_density]}, ["one", "two"], points=41)
    picture = figure.axes[0].images[0]
    values = picture.get_array()
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert values.max() == 1 and (row, column) == (15, 30) and picture.origin == "lower"
    assert figure.axes[0].get_ylabel() == "a row" and figure.axes[1].get_title() == "two"
    for rows in ({}, {"a": []}, {"a": [log_density], "b": []}):
        with pytest.raises(ValueError, match="`rows`.*Received"):
            plots.densities(rows)
