"""The figure of class maps shows the colours that its legend names."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from zoo import plots


def test_colours_are_the_legends():
    labels = np.array([[0, 1], [2, 255]])
    rows = [{"image": np.zeros((2, 2, 3)), "truth": labels, "variance": np.array([[0.0, 1.0], [2.0, 3.0]])}, {"image": np.ones((2, 2, 3))}]
    rows.append({"image": np.ones((2, 2, 3)), "truth": labels % 3, "variance": np.array([[5.0, 1.0], [2.0, 3.0]])})
    figure = plots.class_maps(rows, ("sky", "road", "car"), void=255, title="street")
    handles = {h.get_label(): to_rgb(h.get_facecolor()) for h in figure.legends[0].legend_handles}
    drawn = figure.axes[1].images[0].get_array()
    for place, name in (((0, 0), "sky"), ((0, 1), "road"), ((1, 0), "car")):
        np.testing.assert_allclose(drawn[place], handles[name])
    np.testing.assert_array_equal(drawn[1, 1], [1, 1, 1])
    assert [a.get_title() for a in figure.axes] == ["image", "truth", "variance", "", "", "", ""]
    assert figure.axes[2].images[0].get_clim() == figure.axes[-1].images[0].get_clim() == (0, 5)
    assert figure.get_suptitle() == "street"


def test_unknown_classes_are_refused():
    for label in (3, -1):
        with pytest.raises(ValueError, match="below 3"):
            plots.class_maps([{"x": np.full((2, 2), label)}], ("a", "b", "c"))


def test_sampled_segmentation_shows_gains():
    rows = [{"image": np.zeros((2, 3, 3)), "truth": np.zeros((2, 3), int)}]
    figure = plots.sampled_segmentation([[1, 3], [2, 4]], [2, 2], [[80, 90], [70, 90]], rows, ("a", "b"))
    left, right = figure.subfigs[0].axes
    np.testing.assert_allclose(left.lines[2].get_ydata(), [-0.5, 1.5])
    np.testing.assert_allclose(right.lines[2].get_xydata(), [[0, 75], [50, 90]])
    assert len(figure.subfigs[1].axes) == 2 and len(figure.subfigs[1].legends[0].get_texts()) == 2
