"""Perturbation curves against a loop over regions, AOPC in closed form, and the complexity of heat maps."""

import numpy as np
import pytest

from zoo import metrics, plots

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(3, 7, 6, 2)).astype("float32")
MAPS = RNG.normal(size=(3, 7, 6)).astype("float32")
WEIGHTS = RNG.normal(size=(7, 6, 2))


def score(images):
    return (images * WEIGHTS).sum((1, 2, 3))


def curve(**arguments):
    return metrics.perturbation_curve(score, IMAGES, **{"heatmaps": MAPS, "region": 3, "steps": 6, "verbose": 0, **arguments})


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_curve_against_a_loop(order):
    found = curve(order=order, replace=0.5)
    corners = [(i, j) for i in (0, 3, 6) for j in (0, 3)]
    for n in range(3):
        sums = [MAPS[n, i : i + 3, j : j + 3].sum() for i, j in corners]
        image = IMAGES[n].copy()
        expected = [score(image[None])[0]]
        for r in np.argsort(sums) if order == "lerf" else np.argsort(sums)[::-1]:
            i, j = corners[r]
            image[i : i + 3, j : j + 3] = 0.5
            expected.append(score(image[None])[0])
        np.testing.assert_allclose(found[n], expected, rtol=1e-5)


def test_regions_are_ranked_in_the_precision_of_the_heat_maps():
    """Two regions that float32 cannot tell apart."""
    images = np.array([[[[1.0], [2.0]]]], "float32")
    for order, expected in (("morf", 1.0), ("lerf", 2.0)):
        found = metrics.perturbation_curve(
            lambda x: x.sum((1, 2, 3)), images, np.array([[[1.0, 1 + 1e-9]]]), region=1, steps=1, order=order, replace=0.0, verbose=0
        )
        assert found[0, 1] == expected


def test_all_regions_end_alike_and_noise_is_shared():
    ends = [curve(order=order, draws=3)[:, -1] for order in ("morf", "lerf", "random")]
    np.testing.assert_allclose(ends[0], ends[1])
    np.testing.assert_allclose(curve(draws=2, seed=4), curve(draws=2, seed=4))
    assert not np.allclose(curve(draws=2, seed=4), curve(draws=2, seed=5))


def test_noise_has_its_range_and_mean():
    found = metrics.perturbation_curve(
        lambda x: x.mean((1, 2, 3)), IMAGES, MAPS, region=1, steps=42, draws=100, low=2.0, high=4.0, verbose=0
    )
    np.testing.assert_allclose(found[:, -1], 3.0, atol=0.05)
    mean = metrics.perturbation_curve(lambda x: x.mean((1, 2, 3)), IMAGES, MAPS, region=7, steps=1, replace="mean", verbose=0)
    np.testing.assert_allclose(mean[:, 0], mean[:, 1], rtol=1e-5)
    assert curve(replace="blur").shape == (3, 7)


def test_the_true_order_is_the_best():
    """For a linear score and black replacements, contributions are the right relevances."""
    truth = (IMAGES * WEIGHTS).sum(-1)
    options = {"replace": 0.0, "region": 1, "steps": 42}
    best, worst = metrics.aopc(curve(heatmaps=truth, **options)), metrics.aopc(curve(heatmaps=truth, order="lerf", **options))
    for _ in range(5):
        assert worst < metrics.aopc(curve(heatmaps=RNG.normal(size=MAPS.shape), **options)) < best


def test_aopc_in_closed_form():
    assert metrics.aopc([[4, 3, 1], [2, 2, 2]]) == pytest.approx((0 + 1 + 3) / 6)
    with pytest.raises(ValueError, match="`curves`"):
        metrics.aopc([1, 2])


def test_entropy_and_file_size():
    flat, noise = np.zeros((1, 32, 32)), RNG.uniform(-1, 1, (1, 32, 32))
    halves = np.where(np.arange(32)[:, None] < 16, 1.0, -1.0) * np.ones((1, 32, 32))
    found = metrics.heatmap_entropy(np.concatenate([flat, halves, noise]))
    np.testing.assert_allclose(found[:2], [0, 1])
    assert 7 < found[2] <= 8
    np.testing.assert_allclose(metrics.heatmap_entropy(halves * 9), 1)
    for format in ("jpeg", "png"):
        sizes = metrics.heatmap_file_size(np.concatenate([flat, halves, noise]), format)
        assert sizes[0] <= sizes[1] < sizes[2]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"heatmaps": MAPS[:2]}, "heatmaps"),
        ({"heatmaps": MAPS * np.nan}, "heatmaps"),
        ({"steps": 7}, "steps"),
        ({"order": "best"}, "order"),
        ({"replace": "noise"}, "replace"),
        ({"region": 0}, "region"),
        ({"draws": 0}, "draws"),
    ],
)
def test_refusals(bad, word):
    with pytest.raises(ValueError, match=f"`{word}`"):
        curve(**bad)
    with pytest.raises(ValueError, match="`images`"):
        metrics.perturbation_curve(score, IMAGES[0], MAPS)
    with pytest.raises(ValueError, match="`heatmaps`"):
        metrics.heatmap_entropy(MAPS[0])


def test_heatmaps_are_drawn_symmetric_about_zero():
    figure = plots.heatmaps(IMAGES[..., :1], {"lrp": MAPS, "zero": 0 * MAPS}, titles=["a", "b", "c"])
    assert len(figure.axes) == 9 and figure.axes[0].get_ylabel() == "a" and figure.axes[1].get_title() == "lrp"
    low, high = figure.axes[4].images[0].get_clim()
    assert low == -high and high == pytest.approx(np.abs(MAPS[1]).max())
    with pytest.raises(ValueError, match="`maps`"):
        plots.heatmaps(IMAGES[..., :1], {"lrp": MAPS[:1]})
