"""RIDE: densities against integrals and closed forms, draws against densities, and what each option promises."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo.applications import RIDE
from zoo.applications.ride import joined, split

RNG = np.random.default_rng(0)
SMALL = {"units": 3, "components": 3, "scales": 2, "features": 4, "neighborhood": 3, "grey_levels": None}


def smooth(n, height, width, channels=1):
    """Images whose pixels depend on their neighbours."""
    x = RNG.normal(size=(n, height + 3, width + 3, channels))
    return sum(x[:, i : i + height, j : j + width] for i in range(4) for j in range(4)).astype("float32") / 8 + 0.5


def shaken(model, scale=0.5):
    """The model with weights that are not those it starts from."""
    for variable in model.trainable_variables:
        variable.assign(variable + scale * RNG.normal(size=variable.shape).astype("float32"))
    return model


def adapted(x, **options):
    model = RIDE((None, None, x.shape[-1]), **{**SMALL, **options})
    model.adapt(x)
    return shaken(model)


def test_density_of_two_pixels_integrates_to_one():
    model = adapted(smooth(50, 2, 2))
    grid = np.linspace(-8, 9, 241, dtype="float32")
    pairs = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 1, 2, 1)
    density = np.exp(model.log_density(pairs, batch_size=4096)).reshape(241, 241)
    np.testing.assert_allclose(np.trapezoid(np.trapezoid(density, grid), grid), 1, atol=2e-2)


def test_pixels_depend_on_those_before_alone():
    x, model = smooth(2, 4, 5), None
    for options in ({}, {"num_layers": 2, "extended": True, "neighborhood": 5}, {"units": 0}):
        model = adapted(smooth(20, 4, 5), **options)
        before = model.density_map(x)
        changed = x.copy()
        changed[:, 2, 2] += 1.0
        moved = np.abs(model.density_map(changed) - before).max(0) > 1e-6
        assert not moved[:2].any() and not moved[2, :2].any() and moved[2, 2] and moved[2, 3] and moved[3, 2]


def test_without_lstm_pixels_outside_of_the_neighbourhood_do_not_count():
    model, x = adapted(smooth(20, 6, 6), units=0), smooth(1, 6, 6)
    changed = x.copy()
    changed[:, 0, 0] += 1.0
    moved = np.abs(model.density_map(changed) - model.density_map(x))[0] > 1e-6
    assert moved[:2, :2].sum() >= 3 and not moved[2:].any() and not moved[:, 2:].any()


def test_a_gaussian_is_told_exactly():
    # without components to tell apart, and states that the mixture does not read, what is left is the linear prediction
    x = smooth(400, 5, 5)
    model = RIDE(**{**SMALL, "components": 1, "scales": 1, "boundary": "given"})
    model.adapt(x)
    mixture = model.stages[0].mixture
    for weight in mixture.trainable_variables:
        weight.assign(np.zeros(weight.shape, "float32"))
    rows = [(x[:, i - 1 : i + 1, j - 1 : j + 2].reshape(400, -1)[:, :4], x[:, i, j, 0]) for i in range(1, 5) for j in range(1, 4)]
    inputs, outputs = (np.concatenate(part).astype("float64") for part in zip(*rows))
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], 1)
    rest = outputs - inputs @ np.linalg.lstsq(inputs, outputs, rcond=None)[0]
    expected = stats.norm(0, rest.std()).logpdf(rest).reshape(4, 3, 400).transpose(2, 0, 1)
    np.testing.assert_allclose(model.density_map(x), expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(model.log_density(x), expected.sum((1, 2)), rtol=2e-3)


def test_images_are_split_and_joined():
    x = RNG.normal(size=(2, 6, 8, 3)).astype("float32")
    means, details = split(x)
    np.testing.assert_allclose(means, x.reshape(2, 3, 2, 4, 2, 3).mean((2, 4)) * 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(joined(means, details), x, rtol=1e-5, atol=1e-6)
    # an orthonormal basis keeps volumes
    assert np.isclose(np.sum(np.square(means)) + np.sum(np.square(details)), np.sum(np.square(x)), rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "extended": True}, {"units": 0}, {"boundary": "given"}])
def test_draws_have_the_density_that_is_told(options):
    x = smooth(20, 4, 5, 2)
    model, stage = adapted(x, **options), None
    stage, missing = model.stages[0], np.ones(x.shape[:3], "float32")
    noise = RNG.random(x.shape[:3], "float32"), RNG.normal(size=x.shape).astype("float32")
    drawn, log_q = stage.complete(*map(ops.convert_to_tensor, (x, missing, *noise)))
    np.testing.assert_allclose(log_q, model.log_density(ops.convert_to_numpy(drawn)), rtol=1e-3, atol=1e-3)
    kept, log_q = stage.complete(*map(ops.convert_to_tensor, (x, missing, *noise)), forced=True)
    np.testing.assert_array_equal(kept, x)
    np.testing.assert_allclose(log_q, model.log_density(x), rtol=1e-3, atol=1e-3)


def test_samples_follow_the_density():
    model = adapted(smooth(50, 1, 2), units=2)
    x = model.sample(4000, 1, 2, seed=0)
    # the range of what was seen cuts the tails
    low, high = ops.convert_to_numpy(model.stages[0].range)[:, 0]
    inside = x[(x > low) & (x < high)]
    assert len(np.unique(x[:, 0, 0, 0])) > 2000 and len(inside) > 4000
    grid = np.linspace(low, high, 2001, dtype="float32")
    density = np.exp(model.density_map(np.stack([grid, grid], 1)[:, None, :, None], batch_size=2048)[:, 0, 0])
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    first = x[:, 0, 0, 0]
    first = first[(first > low) & (first < high)]
    assert stats.kstest(first, lambda v: np.interp(v, grid, cumulative / cumulative[-1])).pvalue > 1e-3


def test_levels_have_a_density_and_draws():
    x = smooth(30, 8, 8)
    model = adapted(x, levels=2)
    found = model.log_density(x[:3])
    assert np.isfinite(found).all()
    # details of one level do not touch the density of the means above it
    fine = x[:3].copy()
    fine[:, 0, 0] += 1.0
    fine[:, 0, 1] -= 1.0
    maps, moved = (model._maps(ops.convert_to_tensor(part)) for part in (x[:3], fine))
    np.testing.assert_allclose(maps[0], moved[0], rtol=1e-4, atol=1e-4)
    assert np.abs(ops.convert_to_numpy(maps[1]) - ops.convert_to_numpy(moved[1])).max() > 1e-2
    assert model.sample(2, 8, 4, seed=1).shape == (2, 8, 4, 1)
    with pytest.raises(ValueError, match="`image` must have sides that are multiples of 4"):
        model.log_density(smooth(1, 6, 8))
    with pytest.raises(ValueError, match="without levels"):
        model.density_map(x)


def test_an_ensemble_is_a_mean_of_densities():
    x, model = smooth(4, 5, 5), adapted(smooth(20, 5, 5))
    turned = [x, x[:, :, ::-1], x[:, ::-1], x[:, ::-1, ::-1]]
    expected = np.log(np.mean([np.exp(model.log_density(np.ascontiguousarray(t)).astype("float64")) for t in turned], axis=0))
    np.testing.assert_allclose(model.log_density(x, orientations=4), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="`orientations`"):
        model.log_density(smooth(1, 4, 5), orientations=5)


def test_bits_count_grey_levels():
    x = np.round(np.clip(smooth(40, 6, 6), 0, 1) * 255).astype("float32") / 255
    model = RIDE(**{**SMALL, "grey_levels": 256})
    model.adapt(x)
    noisy = x + (np.random.default_rng(3).random(x.shape, "float32") - np.float32(0.5)) / 255
    expected = (-model.log_density(noisy) / 36 + np.log(255)) / np.log(2)
    np.testing.assert_allclose(model.bits_per_pixel(x, seed=3), expected, rtol=1e-4)


def test_the_last_pixel_may_be_left_out():
    x = smooth(20, 3, 3)
    x -= x.mean((1, 2), keepdims=True)
    model = adapted(x, skip_last=True)
    changed = x.copy()
    changed[:, -1, -1] += 5.0
    np.testing.assert_array_equal(model.log_density(x), model.log_density(changed))
    assert np.all(model.density_map(x)[:, -1, -1] == 0)


def test_training_and_finetuning_lower_the_loss():
    keras.utils.set_random_seed(0)
    x = smooth(200, 8, 8) ** 3
    model = RIDE(**{**SMALL, "units": 8, "components": 4})
    history = model.fit(x, batch_size=20, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0] and int(model.adapted)
    before = model.log_density(x).mean()
    lstm = model.stages[0].lstms[0].get_weights()
    found = model.finetune(x, steps=30, verbose=0)
    after = model.log_density(x).mean()
    assert after > before
    assert all(np.array_equal(a, b) for a, b in zip(lstm, model.stages[0].lstms[0].get_weights()))
    volume = float(ops.sum(ops.log(ops.diagonal(model.stages[0].output_whitening))))
    np.testing.assert_allclose(found[0], volume - after / 64, rtol=1e-3)


def test_streams_are_adapted_first():
    model = RIDE(**SMALL)
    with pytest.raises(ValueError, match="adapt"):
        model.fit(x for x in [smooth(4, 5, 5)])


def test_holes_are_filled_as_the_density_wants():
    # images of one grey each: what is missing is what is around it
    levels = RNG.uniform(0, 1, 300)[:, None, None, None]
    x = (levels + 0.01 * RNG.normal(size=(300, 8, 8, 1))).astype("float32")
    model = RIDE(**{**SMALL, "components": 2, "boundary": "given"})
    model.adapt(x)
    missing = np.zeros((8, 8), bool)
    missing[3:6, 3:6] = True
    filled = model.inpaint(x[:5], missing, sweeps=2, candidates=2, seed=0, verbose=0)
    np.testing.assert_array_equal(filled[:, ~missing], x[:5][:, ~missing])
    assert np.abs(filled[:, missing] - levels[:5].reshape(5, 1, 1)).mean() < 0.05
    np.testing.assert_array_equal(filled, model.inpaint(x[:5], missing, sweeps=2, candidates=2, seed=0, verbose=0))
    for wrong in (np.zeros((8, 8), bool), np.ones((3, 8), bool)):
        with pytest.raises(ValueError, match="`missing`"):
            model.inpaint(x[:5], wrong, verbose=0)


def test_metropolis_leaves_the_posterior_as_it_is():
    # two pixels of three are known: the first one's law given what follows it, against integration
    x = smooth(300, 1, 3)
    model = adapted(x, units=2)
    given, missing = np.repeat(x[:1], 500, 0), np.array([[True, False, False]])
    drawn = model.inpaint(given, missing, sweeps=60, candidates=1, seed=0, verbose=0)[:, 0, 0, 0]
    low, high = ops.convert_to_numpy(model.stages[0].range)[:, 0]
    grid = np.linspace(-8, 9, 4001, dtype="float32")
    tried = np.repeat(x[:1], len(grid), 0)
    tried[:, 0, 0, 0] = grid
    density = np.exp(model.log_density(tried, batch_size=4001).astype("float64"))
    cumulative = np.cumsum(density) / density.sum()
    assert stats.kstest(drawn, lambda v: np.interp(v, grid, cumulative)).pvalue > 1e-3


@pytest.mark.parametrize(
    "name, value",
    [
        ("neighborhood", 4),
        ("neighborhood", 1),
        ("boundary", "none"),
        ("image_shape", (8, 8)),
        ("image_shape", (8, 8, None)),
        ("grey_levels", 1),
        ("levels", -1),
        ("units", -1),
        ("components", 0),
    ],
)
def test_wrong_arguments(name, value):
    with pytest.raises(ValueError, match=f"`{name}`"):
        RIDE(**{name: value})
