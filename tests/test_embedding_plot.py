"""The figure of labelled points."""

import numpy as np
import pytest

from zoo import plots


def test_embedding_draws_each_class_at_its_place():
    points, labels = np.array([[0.0, 1, 9], [2, 3, 9], [4, 5, 9]]), np.array([7, 7, 3])
    figure = plots.embedding({"one": (points, labels), "two": (points[:2], labels[:2])}, names={3: "three", 7: "seven"})
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == ["three", "seven"] and second.get_title() == "two"
    assert first.texts[1].get_position() == (1, 2)
    np.testing.assert_array_equal(first.collections[1].get_offsets(), points[:2, :2])
    assert [text.get_text() for text in plots.embedding({"": (points, labels)}).axes[0].texts] == ["3", "7"]
    for bad in ((points[:, :1], labels), (points, labels[:2])):
        with pytest.raises(ValueError, match="panels"):
            plots.embedding({"bad": bad})
