"""LRP against loops over units, against conservation, and against gradients where theory says that they agree."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from random_networks import LINEAR_BY_PIECES, OTHERS, random_network

from zoo import autodiff
from zoo.applications import LRP, MaxPoolingDropoutNet

RNG = np.random.default_rng(0)
RULES = [("epsilon", 0.1), ("alpha_beta", 2.0), ("alpha_beta", 1.0), ("flat", None), ("z_b", (-2.0, 3.0))]


def build(*body, shape=(6, 6, 2), biases=True):
    """A Sequential model with random biases, or none."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape), *body])
    for variable in model.variables:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(RNG.normal(size=variable.shape) * 0.3 * biases)
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(RNG.uniform(0.5, 2, variable.shape))
    return model


def lrp(classifier, **arguments):
    return LRP(classifier, **{"from_logits": True, **arguments})


def loop(x, w, b, relevance, rule):
    """One layer as in the paper's sums: x `(i,)`, w `(i, j)`, relevance `(j,)`."""
    name, parameter = rule
    found = np.zeros(len(x))
    for j in range(len(relevance)):
        z = x * w[:, j]
        if name == "epsilon":
            total = z.sum() + b[j]
            found += z / (total + parameter * (1 if total >= 0 else -1)) * relevance[j]
        elif name == "flat":
            found += relevance[j] / len(x)
        elif name == "z_b":
            low, high = parameter
            share = z - low * np.maximum(w[:, j], 0) - high * np.minimum(w[:, j], 0)
            found += share / share.sum() * relevance[j]
        else:
            gains, losses = (np.maximum(z, 0), max(b[j], 0)), (np.minimum(z, 0), min(b[j], 0))
            for weight, (part, bias), rest in ((parameter, gains, losses), (1 - parameter, losses, gains)):
                if part.sum() + bias:
                    weight = 1 if weight and not rest[0].sum() + rest[1] else weight
                    found += weight * part / (part.sum() + bias) * relevance[j]
    return found


def weights(layer):
    return [ops.convert_to_numpy(v).astype("float64") for v in (layer.kernel, layer.bias)]


@pytest.mark.parametrize("rule", RULES[:3])
@pytest.mark.parametrize("first", RULES)
def test_dense_layers_against_loops(rule, first):
    model = build(layers.Dense(4, "relu"), layers.Dense(3, "tanh"), layers.Dense(2), shape=(5,))
    x = RNG.normal(size=(3, 5)).astype("float32")
    name, parameter = first
    found = lrp(
        model,
        rule=rule[0],
        **({"epsilon": rule[1]} if rule[0] == "epsilon" else {"alpha": rule[1]}),
        rules={"input": name if parameter is None or name == "z_b" else (name, parameter)},
        input_range=(-2.0, 3.0),
    ).relevance(x, label=1)
    (w1, b1), (w2, b2), (w3, b3) = (weights(layer) for layer in model.layers)
    for sample, r in zip(x.astype("float64"), found):
        h1 = np.maximum(sample @ w1 + b1, 0)
        h2 = np.tanh(h1 @ w2 + b2)
        expected = loop(h2, w3, b3, np.array([0, (h2 @ w3 + b3)[1]]), rule)
        expected = loop(sample, w1, b1, loop(h1, w2, b2, expected, rule), first)
        np.testing.assert_allclose(r, expected, rtol=1e-3, atol=1e-4)


def convolution_matrix(layer, shape):
    """A convolution as a dense layer, one column an output value, from its answers to unit impulses."""
    size = int(np.prod(shape))
    impulses = np.eye(size, dtype="float32").reshape(size, *shape)
    bias = ops.convert_to_numpy(layer(np.zeros((1, *shape), "float32")))
    return (
        (ops.convert_to_numpy(layer(impulses)) - bias).reshape(size, -1).astype("float64"),
        bias.ravel().astype("float64"),
        bias.shape[1:],
    )


LINEAR = [
    (layers.Conv1D(3, 2, padding="causal", dilation_rate=2), (6, 2)),
    (layers.Conv2D(4, 3, strides=2, padding="same"), (6, 5, 2)),
    (layers.Conv2D(4, 2, groups=2), (5, 5, 2)),
    (layers.Conv3D(2, 2), (3, 4, 3, 2)),
    (layers.DepthwiseConv2D(2, depth_multiplier=2), (4, 5, 3)),
    (layers.DepthwiseConv1D(3), (7, 3)),
    (layers.Conv2DTranspose(2, 3, strides=2), (3, 3, 2)),
    (layers.EinsumDense("abc,cd->abd", (4, 3), bias_axes="d"), (4, 2)),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("layer", "shape"), LINEAR, ids=lambda v: getattr(v, "name", ""))
def test_any_linear_layer_is_a_dense_layer(layer, shape, rule):
    layer = type(layer).from_config(layer.get_config())
    model = build(layer, layers.Flatten(), layers.Dense(2), shape=shape)
    x = RNG.normal(size=(1, *shape)).astype("float32")
    w, b, _ = convolution_matrix(layer, shape)
    head, head_bias = weights(model.layers[-1])
    name, parameter = rule
    rules = {"dense": ("epsilon", 0.1), "input": name if name in ("flat", "z_b") else rule}
    found = lrp(model, rules=rules, input_range=(-2.0, 3.0)).relevance(x, 0)
    h = x.ravel().astype("float64") @ w + b
    relevance = loop(h, head, head_bias, np.array([(h @ head + head_bias)[0], 0]), ("epsilon", 0.1))
    if name == "flat":  # equal shares among the inputs that a unit has
        inside = (w != 0).astype("float64")
        expected = inside @ (relevance / inside.sum(0))
    else:
        expected = loop(x.ravel().astype("float64"), w, b, relevance, rule)
    np.testing.assert_allclose(found.ravel(), expected, rtol=2e-3, atol=2e-4)


def test_separable_convolution_is_its_two_halves():
    separable = build(layers.SeparableConv2D(4, 3, depth_multiplier=2), layers.Flatten(), layers.Dense(2))
    two = build(layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), layers.Conv2D(4, 1), layers.Flatten(), layers.Dense(2))
    two.set_weights(separable.get_weights())
    x = RNG.normal(size=(2, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(lrp(separable).relevance(x, 0), lrp(two).relevance(x, 0), rtol=1e-4, atol=1e-5)


def residual():
    """Skips, a concatenation, both poolings and an average, without biases."""
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 2))
    x = layers.ZeroPadding2D(1)(image)
    x = skip = layers.Conv2D(4, 3, activation="relu", use_bias=False)(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.Add()([x, skip]))
    x = layers.Concatenate()([layers.MaxPooling2D()(x), layers.AveragePooling2D(2)(x)])
    x = layers.Dropout(0.5)(layers.Conv2D(6, 2, activation="relu", use_bias=False)(x))
    return keras.Model(image, layers.Dense(3, use_bias=False)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"rule": "epsilon", "epsilon": 0.0},
        {"alpha": 2.0},
        {"alpha": 1.0},
        {"rules": {"convolution": ("alpha_beta", 1.5), "dense": "epsilon"}},
    ],
)
def test_relevance_is_conserved_without_biases(arguments):
    model = lrp(residual(), **{"epsilon": 1e-7, **arguments})
    x = RNG.uniform(size=(4, 8, 8, 2)).astype("float32")
    relevance, score = model.relevance(x, [0, 1, 2, -1]), model.score(x, [0, 1, 2, -1])
    np.testing.assert_allclose(relevance.sum((1, 2, 3)), score, rtol=2e-3, atol=1e-4)
    assert np.abs(relevance).max() > 1e-3


def test_epsilon_zero_is_gradient_times_input_for_relu_networks():
    model = lrp(residual(), rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(4, 8, 8, 2)).astype("float32")
    np.testing.assert_allclose(model.relevance(x), model.relevance(x, method="gradient_x_input"), rtol=1e-3, atol=1e-5)


def test_what_biases_take_is_exact():
    """One hidden layer: the missing relevance is each unit's share of its bias."""
    model = build(layers.Dense(4, "relu"), layers.Dense(2), shape=(5,))
    (w1, b1), (w2, b2) = (weights(layer) for layer in model.layers)
    x = RNG.normal(size=(1, 5)).astype("float32")
    wrapped = lrp(model, rule="epsilon", epsilon=0.0)
    h = np.maximum(x[0] @ w1 + b1, 0)
    missing = b2[0] + sum(h[j] * w2[j, 0] * b1[j] / (x[0] @ w1 + b1)[j] for j in range(4))
    np.testing.assert_allclose(wrapped.score(x, 0) - wrapped.relevance(x, 0).sum(), missing, rtol=1e-3)


@pytest.mark.parametrize("rule", [{"alpha": 2.0}, {"rule": "epsilon", "epsilon": 0.1}])
@pytest.mark.parametrize("kind", ["convolution", "depthwise", "dense"])
def test_batch_normalisation_merges_into_the_layer_in_front(rule, kind):
    linear = {"convolution": layers.Conv2D(4, 3), "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2), "dense": layers.Dense(4)}[
        kind
    ]
    tail = [layers.ReLU(), layers.Flatten(), layers.Dense(3)]
    model = build(linear, layers.BatchNormalization(), *tail)
    assert [step.what for step in lrp(model)._steps.steps].count("BatchNormalization") == 0
    merged = keras.models.clone_model(
        build(type(linear).from_config(linear.get_config()), *[type(t).from_config(t.get_config()) for t in tail])
    )
    kernel, bias = weights(linear)
    gamma, beta, mean, variance = model.layers[1].get_weights()
    scale = gamma / np.sqrt(variance + 1e-3)
    merged.set_weights(
        [kernel * scale.reshape(kernel.shape[-2:] if kind == "depthwise" else -1), (bias - mean) * scale + beta, *model.get_weights()[6:]]
    )
    x = RNG.normal(size=(2, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), merged.predict(x, verbose=0), atol=1e-5)
    np.testing.assert_allclose(lrp(model, **rule).relevance(x, 1), lrp(merged, **rule).relevance(x, 1), rtol=2e-3, atol=1e-4)


def test_batch_normalisation_elsewhere_is_linear():
    model = build(
        layers.BatchNormalization(center=False),
        layers.Conv2D(3, 3, use_bias=False),
        layers.Flatten(),
        layers.Dense(2, use_bias=False),
        biases=False,
    )
    wrapped = lrp(model, rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(2, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(wrapped.relevance(x, 0).sum((1, 2, 3)), wrapped.score(x, 0), rtol=1e-3)


@pytest.mark.parametrize("method", ["deconvolution", "guided", "sensitivity"])
def test_rivals_against_loops(method):
    """A convolution, a ReLU and a pooling that remembers where its maximum was."""
    model = build(layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(2))
    x = RNG.normal(size=(2, 6, 6, 2)).astype("float32")
    found = lrp(model).relevance(x, 1, method)
    w, b, shape = convolution_matrix(layers_without_activation(model.layers[0]), (6, 6, 2))
    (w3, b3), (w4, _) = (weights(layer) for layer in model.layers[-2:])

    def through_relu(signal, z):
        if method == "deconvolution":
            return np.maximum(signal, 0)
        return (np.maximum(signal, 0) if method == "guided" else signal) * (z > 0)

    for sample, r in zip(x, found):
        z = (sample.ravel() @ w + b).reshape(shape)
        h = np.maximum(z, 0)
        pooled, switches = np.zeros((2, 2, 3)), np.zeros((2, 2, 3, *shape))
        for i, j, c in np.ndindex(2, 2, 3):
            k = h[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
            a = k.argmax()
            pooled[i, j, c] = k.max()
            switches[i, j, c, 2 * i + a // 2, 2 * j + a % 2, c] = 1
        z3 = pooled.ravel() @ w3 + b3
        signal = w3 @ through_relu(w4[:, 1], z3)
        signal = through_relu(np.tensordot(signal.reshape(2, 2, 3), switches, 3), z)
        expected = (w @ signal.ravel()).reshape(6, 6, 2)
        np.testing.assert_allclose(r, np.abs(expected) if method == "sensitivity" else expected, rtol=1e-4, atol=1e-5)


def layers_without_activation(layer):
    copy = layers.Conv2D(3, 3)
    copy.build((None, 6, 6, 2))
    copy.set_weights(layer.get_weights())
    return copy


def test_softmax_is_left_out():
    logits = build(layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(3))
    x = RNG.normal(size=(4, 6, 6, 2)).astype("float32")
    expected = lrp(logits).relevance(x)
    for last in (layers.Softmax(), layers.Activation("softmax")):
        model = keras.Sequential([keras.Input((6, 6, 2)), *logits.layers, last])
        np.testing.assert_allclose(lrp(model, from_logits=False).relevance(x), expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_conserve_and_differentiate_right(seed):
    """Relevance adds up to the logit; heat maps of networks that are linear by pieces are those of the classifier's own gradient."""
    x, label = RNG.normal(size=(3, 4, 4, 3)).astype("float32"), np.arange(3)
    for kinds in (LINEAR_BY_PIECES, {**LINEAR_BY_PIECES, **OTHERS}):
        classifier = random_network(seed, kinds)

        def score(v, classifier=classifier):
            return ops.sum(ops.take_along_axis(classifier(v), label[:, None], axis=1))

        expected = ops.convert_to_numpy(autodiff.grad(score, x)) * x
        for rule in ({"rule": "epsilon", "epsilon": 0.0}, {"alpha": 2.0}):
            model = lrp(classifier, **rule)
            relevance, found = (ops.convert_to_numpy(v) for v in model._explain(x, label, "lrp"))
            np.testing.assert_allclose(found, ops.convert_to_numpy(classifier(x))[label, label], rtol=1e-4, atol=1e-5)
            # opposite relevances may be many times larger than their sum
            error = np.abs(relevance.sum((1, 2, 3)) - found) / (np.abs(found) + 1e-3 * np.abs(relevance).sum((1, 2, 3)))
            assert error.max() < 5e-2
        size = np.abs(expected).max()
        slopes = ops.convert_to_numpy(model._explain(x, label, "gradient_x_input")[0])
        np.testing.assert_allclose(slopes / size, expected / size, atol=1e-3)
        if kinds is LINEAR_BY_PIECES:
            relevance = ops.convert_to_numpy(lrp(classifier, rule="epsilon", epsilon=0.0)._explain(x, label, "lrp")[0])
            np.testing.assert_allclose(relevance / size, expected / size, atol=1e-2)


class Ended(keras.Model):
    """A model whose `call` puts a softmax on a network."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.build(network.input_shape)

    def build(self, shape):
        self.built = True

    def get_build_config(self):
        return {"input_shape": self.network.input_shape}

    def call(self, x):
        return ops.softmax(self.network(x))


def test_softmax_as_operation_nested_or_in_call_is_left_out():
    logits = build(layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(3))
    x = RNG.normal(size=(4, 6, 6, 2)).astype("float32")
    expected = lrp(logits).relevance(x)
    image = keras.Input((6, 6, 2))
    operation = keras.Model(image, ops.softmax(logits(image)))
    for classifier in (operation, keras.Sequential([image, operation, layers.Dropout(0.5)]), Ended(logits)):
        model = LRP(classifier)
        np.testing.assert_allclose(model.relevance(x), expected, atol=1e-6)
        np.testing.assert_array_equal(model.relevance(x, np.eye(3)[[0, 1, 2, 0]]), model.relevance(x, [0, 1, 2, 0]))


def test_one_unit_explains_both_classes():
    model = build(layers.Flatten(), layers.Dense(3, "relu"), layers.Dense(1, "sigmoid"))
    wrapped = LRP(model)
    x = RNG.normal(size=(6, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(wrapped.relevance(x, 0), -wrapped.relevance(x, 1), atol=1e-6)
    predicted = (model.predict(x, verbose=0)[:, 0] > 0.5).astype("int32")
    np.testing.assert_allclose(wrapped.score(x), wrapped.score(x, predicted))
    assert np.all(wrapped.score(x) >= 0)
    assert "accuracy" in wrapped.fit(x, predicted, verbose=0).history


def test_nested_shared_and_subclassed_models():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "relu", use_bias=False)])
    x = keras.Input((4,))
    deep = keras.Model(x, layers.Dense(2, use_bias=False)(inner(inner(x)) + x))
    wrapped = lrp(deep, rule="epsilon", epsilon=0.0)
    data = RNG.normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(wrapped.relevance(data), wrapped.relevance(data, method="gradient_x_input"), rtol=1e-3, atol=1e-5)
    zoo_model = MaxPoolingDropoutNet(**MaxPoolingDropoutNet.example_config())
    explained = LRP(zoo_model, rule="epsilon", epsilon=0.0)
    image = explained.example_inputs(2)
    assert explained.relevance(image).shape == image.shape and explained.heatmap(image).shape == image.shape[:3]


def dense(units=6, activation=None):
    return layers.Dense(units, activation, use_bias=False)


def with_dropout(layer):
    def body(x):
        h = dense(activation="relu")(x)
        return layer([h, layers.Dropout(0.5)(h)])

    return body


REUSED = {
    "grey to colours": lambda x: layers.Concatenate()([x, x, x]),
    "add": with_dropout(layers.Add()),
    "concatenate": with_dropout(layers.Concatenate()),
    "average": with_dropout(layers.Average()),
    "maximum": with_dropout(layers.Maximum()),
    "subtract": lambda x: layers.Subtract()([x, dense()(x)]),
    "plus": lambda x: x + x,
    "stack": lambda x: layers.Flatten()(ops.stack([x, x, dense()(x)], axis=1)),
    "a layer at two places": lambda x: (lambda layer: layer(layer(x)) + layer(x))(dense(activation="relu")),
}


@pytest.mark.parametrize("body", REUSED.values(), ids=REUSED)
def test_a_tensor_that_enters_several_times_counts_once_at_each_place(body):
    image = keras.Input((6,))
    model = lrp(keras.Model(image, dense(3)(body(image))), rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(4, 6)).astype("float32")
    for method in ("lrp", "gradient_x_input"):
        np.testing.assert_allclose(model.relevance(x, 1, method).sum(1), model.score(x, 1), rtol=1e-4, atol=1e-5)


def test_sensitivity_of_a_tensor_that_enters_twice():
    image = keras.Input((6,))
    model = lrp(keras.Model(image, dense(3)(layers.Add()([image, image]))))
    slopes = 2 * np.abs(ops.convert_to_numpy(model.classifier.layers[-1].kernel)[:, 1])
    np.testing.assert_allclose(model.relevance(np.ones((2, 6), "float32"), 1, "sensitivity"), [slopes, slopes], rtol=1e-5)


@pytest.mark.parametrize(
    "quotient", [lambda x: 1.0 / x, lambda x: ops.divide(1.0, x2=x), lambda x: ops.true_divide(x, dense()(x))], ids=["1/x", "x2", "x/y"]
)
def test_division_by_a_tensor_is_refused(quotient):
    image = keras.Input((6,))
    with pytest.raises(ValueError, match="ivide"):
        lrp(keras.Model(image, dense(3)(quotient(image))))


def test_division_by_a_constant_is_linear():
    image = keras.Input((6,))
    model = lrp(keras.Model(image, dense(3)(ops.true_divide(x1=-image, x2=2.0))), rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(model.relevance(x, 1), -x / 2 * ops.convert_to_numpy(model.classifier.layers[-1].kernel)[:, 1], rtol=1e-4)


def test_what_is_gated_takes_all():
    """Relevance is that of the signal alone, whatever opens the gate; conserved, though the gate depends on the input."""
    image = keras.Input((4, 4, 6))
    signal = layers.Conv2D(6, 1, use_bias=False, name="signal")(image)
    gate = layers.Reshape((1, 1, 6))(layers.Dense(6, "sigmoid")(layers.GlobalAveragePooling2D()(signal)))
    classifier = keras.Model(image, dense(3)(layers.GlobalAveragePooling2D()(layers.Multiply()([signal, gate]))))
    model = lrp(classifier, rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(3, 4, 4, 6)).astype("float32")
    kernel, head = (ops.convert_to_numpy(layer.kernel) for layer in (classifier.get_layer("signal"), classifier.layers[-1]))
    opened = ops.convert_to_numpy(keras.Model(image, gate)(x))
    expected = x * np.einsum("io,bo->bi", kernel[0, 0], opened[:, 0, 0] * head[:, 1])[:, None, None] / 16
    np.testing.assert_allclose(model.relevance(x, 1), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.relevance(x, 1).sum((1, 2, 3)), model.score(x, 1), rtol=1e-3, atol=1e-5)


PRODUCTS = {
    "hard swish": lambda x: x * (layers.ReLU(6.0)(x + 3.0) * (1 / 6)),
    "attention": lambda x: layers.Multiply()([x, layers.Softmax()(dense()(x))]),
    "square": lambda x: x * x,
    "three factors": lambda x: layers.Multiply()([x, dense()(x), dense()(x)]),
    "two gates": lambda x: layers.Activation("sigmoid")(x) * dense(activation="sigmoid")(x),
    "broadcast": lambda x: x * dense(1)(x),
}


@pytest.mark.parametrize("body", PRODUCTS.values(), ids=PRODUCTS)
def test_products_hand_on_all_that_they_get(body):
    image = keras.Input((6,))
    model = lrp(keras.Model(image, dense(3)(body(dense()(image)))), rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(model.relevance(x, 1).sum(1), model.score(x, 1), rtol=1e-3, atol=1e-5)


def test_factors_without_a_gate_share_equally():
    image = keras.Input((6,))
    classifier = keras.Model(image, dense(1)(layers.Multiply()([image, dense()(image)])))
    model = lrp(classifier, rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(3, 6)).astype("float32")
    kernel, head = (np.asarray(w, "float64") for w in classifier.get_weights())
    factor = x @ kernel
    half = x * factor * head[:, 0] / 2
    np.testing.assert_allclose(model.relevance(x, 1), half + x * ((half / factor) @ kernel.T), rtol=1e-3, atol=1e-5)


NORMALISATIONS = {
    "layer": lambda: layers.LayerNormalization(epsilon=0.1),
    "two axes": lambda: layers.LayerNormalization(axis=[1, -1], epsilon=0.1),
    "size": lambda: layers.RMSNormalization(epsilon=0.1),
    "groups": lambda: layers.GroupNormalization(3, epsilon=0.1),
}


@pytest.mark.parametrize("layer", NORMALISATIONS.values(), ids=NORMALISATIONS)
@pytest.mark.parametrize("shifted", [False, True])
def test_normalisation_is_linear_at_a_constant_spread(layer, shifted):
    """The layer as a matrix, found at the spread that the sample has; a shift takes its share."""
    model = build(layer(), layers.Flatten(), layers.Dense(2, use_bias=False), shape=(4, 6), biases=shifted)
    for variable in model.layers[0].variables:
        variable.assign(RNG.normal(size=variable.shape) * (shifted or variable.name != "beta"))
    wrapped = lrp(model, rule="epsilon", epsilon=0.0)
    x = RNG.normal(size=(1, 4, 6)).astype("float32")
    size = x.size
    output = ops.convert_to_numpy(model.layers[0](x)).reshape(-1).astype("float64")
    beta = next((ops.convert_to_numpy(v) for v in model.layers[0].variables if v.name == "beta"), np.zeros(()))
    beta = np.broadcast_to(beta, (4, 6)).ravel() if beta.ndim < 2 else beta.ravel()
    # what the layer adds to zero at the same spread is beta; the rest is linear
    means = {"layer": (-1,), "two axes": (0, 1), "groups": (0, 2)}
    name = next(key for key, value in NORMALISATIONS.items() if value is layer)
    grouped = np.eye(size).reshape(size, 4, 6) if name != "groups" else np.eye(size).reshape(size, 4, 3, 2)
    axes = tuple(axis if axis < 0 else axis + 1 for axis in means.get(name, ()))
    centred = (grouped - grouped.mean(axes, keepdims=True) if axes else grouped).reshape(size, -1)
    matrix = centred * ((output - beta) / (x.ravel() @ centred))
    kernel = ops.convert_to_numpy(model.layers[-1].kernel)[:, 1]
    np.testing.assert_allclose(wrapped.relevance(x, 1).ravel(), x.ravel() * (matrix @ kernel), rtol=2e-3, atol=1e-4)
    missing = beta @ kernel
    np.testing.assert_allclose(wrapped.score(x, 1) - wrapped.relevance(x, 1).sum(), missing, rtol=1e-3, atol=1e-4)
    sensitivity = wrapped.relevance(x, 1, "sensitivity")
    assert not np.allclose(sensitivity.ravel(), np.abs(matrix @ kernel), rtol=1e-2)


@pytest.mark.parametrize(("name", "options"), [("EfficientNetB0", {}), ("ConvNeXtTiny", {"include_preprocessing": False})])
def test_networks_with_gates_and_layer_normalisation_run_and_conserve(name, options):
    """Without biases, and without the mean that preprocessing subtracts, which takes a share as biases do."""
    classifier = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=3, **options)
    for variable in classifier.variables:
        if variable.name in ("bias", "beta"):
            variable.assign(np.zeros(variable.shape))
    model = LRP(classifier, rule="epsilon", epsilon=0.0)
    x = RNG.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    relevance, score = model.relevance(x, 1), model.score(x, 1)
    assert np.all(score != 0) and np.abs(relevance).max() > 0
    np.testing.assert_allclose(relevance.sum((1, 2, 3)), score, rtol=5e-3)


class Strange(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, x):
        return self.dense(x) * 2


def test_refuses_what_it_cannot_explain():
    strange = Strange()
    strange.build((None, 4))
    with pytest.raises(ValueError, match="Received: Strange"):
        lrp(strange)
    normalised = build(layers.Flatten(), layers.UnitNormalization(name="odd"), layers.Dense(2))
    with pytest.raises(ValueError, match="UnitNormalization 'odd'"):
        lrp(normalised)
    rival = lrp(normalised, method="sensitivity")
    rival.relevance(rival.example_inputs())
    with pytest.raises(ValueError, match="'odd'"):
        rival.relevance(rival.example_inputs(), method="lrp")
    model = build(layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(3))
    for bad in (
        *({"method": "cam"}, {"rule": "z_b"}, {"epsilon": -1.0}, {"alpha": 0.5}, {"input_range": (1.0, 0.0)}),
        *(
            {"rules": {"pooling": "epsilon"}},
            {"rules": {"dense": "z_b"}},
            {"rules": {"dense": ("alpha_beta", 0.5)}},
            {"from_logits": False},
        ),
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            lrp(model, **bad)
    for label in (3, [0], [0.5, 1]):
        with pytest.raises(ValueError, match="`label`"):
            lrp(model).relevance(model_input(), label)
    with pytest.raises(ValueError, match="`from_logits`"):
        LRP(build(layers.Flatten(), layers.Dense(1, "sigmoid")), from_logits=True)
    with pytest.raises(ValueError, match="`reduce`"):
        lrp(model).heatmap(model_input(), reduce="mean")


def model_input():
    return RNG.normal(size=(2, 6, 6, 2)).astype("float32")


def test_batches_labels_and_reductions():
    model = lrp(build(layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(3)))
    x = RNG.normal(size=(7, 6, 6, 2)).astype("float32")
    whole = model.relevance(x)
    np.testing.assert_allclose(model.relevance(x, batch_size=3), whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.relevance(x, model.predict(x, verbose=0).argmax(1)), whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.heatmap(x), whole.sum(-1), rtol=1e-4, atol=1e-6)
    gradient = model.relevance(x, method="sensitivity")
    np.testing.assert_allclose(model.heatmap(x, method="sensitivity"), np.sqrt((gradient**2).sum(-1)), rtol=1e-4)
    np.testing.assert_allclose(model.heatmap(x, method="sensitivity", reduce="max"), gradient.max(-1), rtol=1e-4)
    assert set(model.explain(x)) == {"lrp", "sensitivity", "gradient_x_input", "deconvolution", "guided"}
    assert not np.allclose(model.relevance(x, method="random"), model.relevance(x, method="random"))
