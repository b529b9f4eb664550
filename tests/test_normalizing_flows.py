"""Normalizing flows against autodiff's Jacobians, the paper's formulas in NumPy, and integrals over the plane; fits to energies."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, special

from zoo import autodiff
from zoo.layers import Coupling, FlowDensity, PlanarFlow, RadialFlow
from zoo.layers import flow_density as fd

RNG = np.random.default_rng(0)
FLOWS = [
    (PlanarFlow, {}),
    (RadialFlow, {}),
    (Coupling, {"units": 3}),
    (Coupling, {"mixing": "permutation", "seed": 5}),
]


def numpy(values):
    return [ops.convert_to_numpy(v) for v in values]


def flow_with(cls, dim, length=4, scale=1.5, amortised=False, **options):
    """A flow whose weights are far from their start, and its parameters."""
    flow = cls(length=length, amortised=amortised, **options)
    flow.build((None, dim))
    parameters = (scale * RNG.normal(size=flow.parameter_count(dim))).astype("float32")
    if not amortised:
        flow.parameters.assign(parameters)
    return flow, parameters


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("cls, options", FLOWS)
def test_log_determinants_are_those_of_autodiff(cls, options, dim):
    flow, _ = flow_with(cls, dim, scale=0.7 if cls is Coupling else 1.5, **options)
    z = RNG.normal(size=(20, dim)).astype("float32")
    jacobians = ops.convert_to_numpy(autodiff.jacobian(lambda x: flow(x[0])[0], [z], dim)[0]).astype("float64")
    signs, expected = np.linalg.slogdet(jacobians)
    found = numpy(flow(z))
    assert np.all(signs != 0) and found[0].shape == (20, dim)
    np.testing.assert_allclose(found[1], expected, rtol=1e-4, atol=2e-4)
    if cls is Coupling:
        np.testing.assert_array_equal(found[1], 0)


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("scale", [0.1, 3.0])
@pytest.mark.parametrize("cls, options", FLOWS)
def test_inverses(cls, options, scale, dim):
    if cls is Coupling and dim == 1:
        with pytest.raises(ValueError, match="`z` must have at least 2 coordinates"):
            flow_with(cls, dim, **options)
        return
    flow, _ = flow_with(cls, dim, scale=scale, **options)
    z = 2 * RNG.normal(size=(50, dim)).astype("float32")
    there, log_det = flow(z)
    back, log_back = flow.inverse(there)
    size = np.abs(ops.convert_to_numpy(there)).max()
    np.testing.assert_allclose(back, z, atol=2e-4 * max(1, size))
    np.testing.assert_allclose(log_back, -ops.convert_to_numpy(log_det), atol=5e-3)


@pytest.mark.parametrize("cls, options", FLOWS)
def test_derivatives_of_inverses(cls, options):
    """With respect to points the inverse Jacobian, to parameters differences: a likelihood can be climbed through them."""
    dim = 3
    flow, parameters = flow_with(cls, dim, length=2, scale=0.8, amortised=True, **options)
    z = RNG.normal(size=(4, dim)).astype("float32")
    there = flow(z, parameters)[0]
    jacobian = autodiff.jacobian(lambda x: flow(x[0], parameters)[0], [z], dim)[0]
    found = autodiff.jacobian(lambda x: flow.inverse(x[0], parameters)[0], [there], dim)[0]
    np.testing.assert_allclose(found, np.linalg.inv(ops.convert_to_numpy(jacobian)), rtol=2e-3, atol=2e-3)

    def density(parameters):
        back, log_det = flow.inverse(there, parameters)
        return ops.sum(log_det) - 0.5 * ops.sum(back**2)

    slopes = ops.convert_to_numpy(autodiff.grad(density, parameters))
    for i in range(len(parameters)):
        step = np.where(np.arange(len(parameters)) == i, 0.01, 0).astype("float32")
        difference = (float(density(parameters + step)) - float(density(parameters - step))) / 0.02
        assert slopes[i] == pytest.approx(difference, rel=0.05, abs=0.03)


def test_planar_steps_are_the_papers():
    """Equations 10 to 12 and appendix A.1, in float64."""
    dim = 3
    flow, parameters = flow_with(PlanarFlow, dim, length=2)
    z = RNG.normal(size=(7, dim))
    found = numpy(flow(z.astype("float32")))
    log_det = np.zeros(7)
    for row in parameters.reshape(2, -1).astype("float64"):
        u, w, b = row[:dim], row[dim : 2 * dim], row[-1]
        u = u + (np.log1p(np.exp(w @ u)) - 1 - w @ u) * w / (w @ w)
        assert w @ u > -1
        h = np.tanh(z @ w + b)
        log_det += np.log(np.abs(1 + (1 - h**2) * (w @ u)))
        z = z + h[:, None] * u
    np.testing.assert_allclose(found[0], z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], log_det, rtol=1e-4, atol=1e-5)


def test_radial_steps_are_the_papers():
    """Equation 14 and appendix A.2, in float64."""
    dim = 3
    flow, parameters = flow_with(RadialFlow, dim, length=2)
    z = RNG.normal(size=(7, dim))
    found = numpy(flow(z.astype("float32")))
    log_det = np.zeros(7)
    for row in parameters.reshape(2, -1).astype("float64"):
        centre, alpha = row[:dim], np.log1p(np.exp(row[dim]))
        beta = -alpha + np.log1p(np.exp(row[dim + 1]))
        r = np.linalg.norm(z - centre, axis=1)
        h, slope = 1 / (alpha + r), -1 / (alpha + r) ** 2
        log_det += np.log((1 + beta * h) ** (dim - 1) * (1 + beta * h + beta * slope * r))
        z = z + (beta * h)[:, None] * (z - centre)
    np.testing.assert_allclose(found[0], z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], log_det, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mixing", ["orthogonal", "permutation"])
def test_couplings_shift_half_of_mixed_coordinates(mixing):
    flow, parameters = flow_with(Coupling, 5, length=1, units=3, mixing=mixing)
    z = RNG.normal(size=(6, 5)).astype("float32")
    matrix = flow.mixing_matrices(5)[0]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(5), atol=1e-12)
    assert (mixing == "permutation") == bool(np.isin(matrix, (0, 1)).all())
    mixed = z @ matrix
    first, bias, second, last = np.split(parameters, [6, 9, 18])
    shift = np.maximum(mixed[:, :2] @ first.reshape(2, 3) + bias, 0) @ second.reshape(3, 3) + last
    expected = np.concatenate([mixed[:, :2], mixed[:, 2:] + shift], axis=1)
    np.testing.assert_allclose(flow(z)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls, options", FLOWS)
def test_amortised_flows_take_the_parameters_of_each_point(cls, options):
    flow, _ = flow_with(cls, 4, amortised=True, **options)
    z = RNG.normal(size=(3, 6, 4)).astype("float32")
    parameters = RNG.normal(size=(3, flow.parameter_count(4))).astype("float32")
    assert not flow.weights
    found, log_det = numpy(flow(z, parameters[:, None]))
    back = ops.convert_to_numpy(flow.inverse(found, parameters[:, None])[0])
    for i in range(3):
        alone = cls(length=4, **options)
        alone.build((None, 4))
        alone.parameters.assign(parameters[i])
        expected = numpy(alone(z[i]))
        np.testing.assert_allclose(found[i], expected[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(log_det[i], expected[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(back, z, atol=1e-3)
    # points that many parameters share
    spread, _ = flow(z[0, :1], parameters)
    np.testing.assert_allclose(spread, numpy(flow(np.repeat(z[0, :1], 3, 0), parameters))[0], rtol=1e-5, atol=1e-5)


def test_flows_start_where_they_change_nothing():
    z = RNG.normal(size=(6, 4)).astype("float32")
    for cls in (PlanarFlow, RadialFlow):
        found, log_det = numpy(cls(length=30)(z))
        np.testing.assert_allclose(found, z, atol=1e-4)
        np.testing.assert_allclose(log_det, 0, atol=1e-4)
    found = ops.convert_to_numpy(Coupling(length=5)(z)[0])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(z, axis=1), rtol=1e-4)
    # not all at one place, from which they could not part
    assert len(np.unique(ops.convert_to_numpy(PlanarFlow(length=3).initial_parameters((3 * 9,))).round(5))) > 20


def test_edges():
    flow = RadialFlow()
    flow.build((None, 2))
    centre = ops.convert_to_numpy(flow.parameters)[None, :2]
    flow.parameters.assign(np.concatenate([centre[0], [0.3, -2.0]]))
    value, gradient = autodiff.value_and_grad(lambda z: ops.sum(flow(z)[1]), centre)
    assert np.isfinite(value) and np.all(np.isfinite(ops.convert_to_numpy(gradient)))
    np.testing.assert_allclose(flow.inverse(centre)[0], centre, atol=1e-6)
    planar = PlanarFlow()
    planar.build((None, 2))
    planar.parameters.assign(np.zeros(5))
    z = RNG.normal(size=(3, 2)).astype("float32")
    np.testing.assert_array_equal(planar(z)[0], z)


@pytest.mark.parametrize("cls, options", FLOWS)
def test_gradients_compiled_by_xla(cls, options):
    flow, parameters = flow_with(cls, 3, amortised=True, **options)
    z = RNG.normal(size=(5, 3)).astype("float32")

    def loss(inputs):
        points, log_det = flow(inputs[0], inputs[1][None])
        return ops.sum(points**2) - ops.sum(log_det)

    eager = autodiff.value_and_grad(loss, [z, parameters])
    run = autodiff.compiled(lambda z, p: autodiff.value_and_grad(loss, [z, p]), flow, jit_compile=True)
    value, gradients = run(z, parameters)
    np.testing.assert_allclose(value, eager[0], rtol=1e-4)
    for ours, theirs in zip(gradients, eager[1]):
        np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), rtol=1e-3, atol=1e-3)
    step = np.zeros_like(parameters)
    step[1] = 1e-2
    slope = (float(loss([z, parameters + step])) - float(loss([z, parameters - step]))) / 2e-2
    assert float(gradients[1][1]) == pytest.approx(slope, rel=2e-2, abs=2e-2)


@pytest.mark.parametrize("cls, options", FLOWS)
def test_flows_are_saved_with_models(cls, options, tmp_path):
    z, parameters = keras.Input((4,)), keras.Input((cls(length=2, **options).parameter_count(4),))
    there, log_det = cls(length=2, **options)(z)
    there, more = cls(length=2, amortised=True, **options)(there, parameters)
    model = keras.Model([z, parameters], [there, log_det + more])
    x = [RNG.normal(size=(3, 4)).astype("float32"), RNG.normal(size=(3, parameters.shape[1])).astype("float32")]
    model.save(tmp_path / "flow.keras")
    for ours, theirs in zip(numpy(keras.models.load_model(tmp_path / "flow.keras")(x)), numpy(model(x))):
        np.testing.assert_array_equal(ours, theirs)


def test_refusals():
    for make, name in (
        (lambda: PlanarFlow(length=0), "length"),
        (lambda: Coupling(mixing="none"), "mixing"),
        (lambda: Coupling(units=0), "units"),
        (lambda: PlanarFlow()(np.zeros((2, 3)), np.zeros((2, 7))), "parameters"),
        (lambda: PlanarFlow(amortised=True)(np.zeros((2, 3))), "parameters"),
        (lambda: PlanarFlow(amortised=True)(np.zeros((2, 3)), np.zeros((2, 6))), "parameters"),
        (lambda: PlanarFlow(amortised=True)(np.zeros((5, 3)), np.zeros((2, 7))), "parameters"),
        (lambda: flow_with(PlanarFlow, 3)[0](np.zeros((2, 4))), "z"),
        (lambda: flow_with(RadialFlow, 3)[0].inverse(np.zeros((2, 4))), "z"),
        (lambda: FlowDensity(flow_with(PlanarFlow, 3)[0]), "flow"),
        (lambda: FlowDensity().divergence("ring"), "energy"),
        (lambda: FlowDensity().divergence(fd.ring_energy, low=3, high=-3), "low"),
        (lambda: FlowDensity(dim=0), "dim"),
        (lambda: FlowDensity(PlanarFlow(amortised=True)), "flow"),
        (lambda: FlowDensity("planar"), "flow"),
        (lambda: FlowDensity().fit(3), "energy"),
        (lambda: FlowDensity().fit(lambda z: z), "energy"),
        (lambda: FlowDensity().fit(lambda z: np.sum(ops.convert_to_numpy(z), 1)), "energy"),
        (lambda: FlowDensity().fit(fd.ring_energy, optimizer=5), "optimizer"),
        (lambda: FlowDensity().fit(fd.ring_energy, optimizer="no such"), "optimizer"),
        (lambda: FlowDensity().fit(fd.ring_energy, steps=0), "steps"),
        (lambda: FlowDensity().sample(0), "n"),
        (lambda: FlowDensity().log_prob(np.zeros((3, 3))), "z"),
        (lambda: FlowDensity(dim=3).divergence(fd.ring_energy), "dim"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received"):
            make()


@pytest.mark.parametrize("cls, options", FLOWS)
def test_points_of_any_kind(cls, options):
    flow, _ = flow_with(cls, 3, **options)
    z = RNG.integers(-2, 3, (4, 3))
    expected = numpy(flow(z.astype("float32")))
    for found in (flow(z), flow(z.astype("float64")), [np.stack(rows) for rows in zip(*(numpy(flow(row)) for row in z))]):
        for one, other in zip(numpy(found), expected):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(flow.inverse(expected[0].tolist())[0], z, atol=1e-3)
    np.testing.assert_allclose(flow.inverse(expected[0].astype("float64"))[0], z, atol=1e-3)


def test_optimizers_by_name():
    assert FlowDensity().fit(fd.ring_energy, steps=2, optimizer="sgd", verbose=0).shape == (2,)


# --- densities ---


def test_the_papers_energies():
    """Table 1, one point at a time."""
    for z1, z2 in RNG.uniform(-4, 4, (20, 2)):
        w1 = np.sin(2 * np.pi * z1 / 4)
        w2 = 3 * np.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)
        w3 = 3 * special.expit((z1 - 1) / 0.3)
        arcs = np.exp(-0.5 * ((z1 - 2) / 0.6) ** 2) + np.exp(-0.5 * ((z1 + 2) / 0.6) ** 2)
        expected = [
            0.5 * ((np.hypot(z1, z2) - 2) / 0.4) ** 2 - np.log(arcs),
            0.5 * ((z2 - w1) / 0.4) ** 2,
            -np.logaddexp(-0.5 * ((z2 - w1) / 0.35) ** 2, -0.5 * ((z2 - w1 + w2) / 0.35) ** 2),
            -np.logaddexp(-0.5 * ((z2 - w1) / 0.4) ** 2, -0.5 * ((z2 - w1 + w3) / 0.35) ** 2),
        ]
        point = np.array([[z1, z2]], "float32")
        found = [float(ops.convert_to_numpy(energy(point))[0]) for energy in fd.ENERGIES]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    far = np.array([[6.0, 0.0], [-6.0, 0.0]], "float32")
    assert all(np.min(ops.convert_to_numpy(energy(far))) > 30 for energy in fd.ENERGIES)


def test_normalizers_by_integration():
    def density(z2, z1):
        arcs = np.exp(-0.5 * ((z1 - 2) / 0.6) ** 2) + np.exp(-0.5 * ((z1 + 2) / 0.6) ** 2)
        return np.exp(-0.5 * ((np.hypot(z1, z2) - 2) / 0.4) ** 2) * arcs

    exact = np.log(integrate.dblquad(density, -6, 6, -6, 6, epsabs=1e-6)[0])
    assert fd.log_normalizer(fd.ring_energy) == pytest.approx(exact, abs=1e-3)
    # a sine moves the band but not its area
    width = 0.4 * np.sqrt(2 * np.pi)
    assert fd.log_normalizer(fd.wave_energy) == pytest.approx(np.log(width * (8 + 0.2 * np.sqrt(2 * np.pi))), abs=1e-3)


def on_grid(points=240, limit=8.0):
    width = 2 * limit / points
    middle = -limit + width * (np.arange(points) + 0.5)
    return np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2).astype("float32"), width**2


@pytest.mark.parametrize("cls, options", [(None, {}), *FLOWS])
def test_densities_are_those_of_their_samples(cls, options):
    density = FlowDensity(cls and flow_with(cls, 2, length=3, scale=0.7, **options)[0])
    density.mean.assign([0.3, -0.2])
    density.log_scale.assign([-0.4, 0.1])
    grid, area = on_grid()
    probability = np.exp(density.log_prob(grid).astype("float64")) * area
    assert probability.sum() == pytest.approx(1, abs=0.01)
    z, log_q = density.sample(20000, seed=3)
    np.testing.assert_allclose(density.log_prob(z), log_q, atol=5e-3)
    np.testing.assert_allclose(z.mean(0), probability @ grid, atol=0.06)
    np.testing.assert_array_equal(density.sample(5, seed=3)[0], density.sample(5, seed=3)[0])
    assert np.abs(density.sample(5)[0] - density.sample(5)[0]).max() > 1e-3


def test_divergence_is_the_integral():
    density = FlowDensity(flow_with(PlanarFlow, 2, length=2, scale=0.5)[0])
    density.log_scale.assign([-0.7, -0.7])
    grid, area = on_grid()
    log_q = density.log_prob(grid).astype("float64")
    energy = ops.convert_to_numpy(fd.ring_energy(grid))
    log_p = -energy - fd.log_normalizer(fd.ring_energy)
    expected = np.sum(np.exp(log_q) * (log_q - log_p)) * area
    assert density.divergence(fd.ring_energy) == pytest.approx(expected, rel=0.02)


def test_a_gaussian_finds_a_gaussian():
    def energy(z):
        return 0.5 * ops.sum(((z - np.array([1.0, -2.0], "float32")) / np.array([0.5, 1.5], "float32")) ** 2, axis=-1)

    density = FlowDensity()
    losses = density.fit(energy, steps=800, batch_size=64, annealing_steps=0, verbose=0)
    assert losses.shape == (800,) and losses[-50:].mean() < losses[:50].mean()
    np.testing.assert_allclose(density.mean, [1, -2], atol=0.1)
    np.testing.assert_allclose(ops.exp(density.log_scale), [0.5, 1.5], rtol=0.05)
    # -log Z
    assert losses[-1] == pytest.approx(-np.log(2 * np.pi * 0.75), abs=0.01)
    # the weight of the energy rises from 0.01
    wide = FlowDensity()
    wide.fit(energy, steps=1, optimizer=keras.optimizers.SGD(1.0), annealing_steps=100, verbose=0)
    assert 0 < float(wide.mean[0]) < 0.1


def test_a_flow_is_nearer_than_a_gaussian():
    energy = fd.ENERGIES[1]
    found = []
    for flow in (None, PlanarFlow(length=4)):
        density = FlowDensity(flow)
        density.fit(energy, steps=300, batch_size=64, verbose=0)
        found.append(density.divergence(energy, samples=5000))
    assert found[1] < found[0] - 0.3


def test_densities_keep_their_weights(tmp_path):
    density = FlowDensity(flow_with(RadialFlow, 2)[0])
    density.fit(fd.wave_energy, steps=3, verbose=0)
    noise = keras.Input((2,))
    model = keras.Model(noise, density(noise))
    model.save(tmp_path / "density.keras")
    loaded = keras.models.load_model(tmp_path / "density.keras").layers[-1]
    for ours, theirs in zip(loaded.sample(6, seed=0), density.sample(6, seed=0)):
        np.testing.assert_array_equal(ours, theirs)
