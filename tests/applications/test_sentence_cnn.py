"""What is special to SentenceCNN: the network against loops over windows, padding that does not matter, word vectors, and highlights."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.applications import SentenceCNN

TEXTS = ["The cat sat on a mat, the cat!", "cat", "", "a dog sat on the mat"]
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "identity": lambda x: x,
    "cube": lambda x: x**3,
    "tanh_cube": lambda x: np.tanh(x**3 + x),
}
POOLINGS = {
    "max": lambda v: [v.max(0)],
    "average": lambda v: [v.mean(0)],
    "k_max": lambda v: [np.concatenate([m[np.sort(np.argsort(-m)[:3])], np.zeros(max(3 - len(m), 0))]) for m in v.T],
    "local_max": lambda v: [v[i : i + 3].max(0) if i < len(v) else np.zeros(v.shape[1]) for i in range(0, 11, 3)],
}


def small(**arguments):
    """With weights that are large enough to be seen."""
    keras.utils.set_random_seed(0)
    model = SentenceCNN(**{**SentenceCNN.example_config(), **arguments})
    for part in (model.head.get_layer("logits"), *(one for one in model.regions.layers if one.name.startswith("region"))):
        kernel = ops.convert_to_numpy(part.kernel)
        part.kernel.assign(kernel * max(1, 0.4 / np.abs(kernel).max()))
    return model


def layer(model, name):
    part = model.head if name == "logits" else model.regions
    return [ops.convert_to_numpy(v) for v in part.get_layer(name).weights]


def brute_force(model, text):
    """Logits by loops; every window lies within the sentence."""
    words = [i for i in model.encode([text])[0] if i]
    tables = {"static": ["static_vectors"], "multichannel": ["vectors", "static_vectors"]}.get(model.channels, ["vectors"])
    vectors = np.concatenate([layer(model, t)[0] for t in tables], axis=1)
    features = []
    for i, size in enumerate(model.region_sizes):
        sentence = np.concatenate([vectors[words], np.zeros((max(size - len(words), 0), vectors.shape[1]))])
        kernel, bias = layer(model, f"region{i}")
        values = [
            ACTIVATIONS[model.activation](np.einsum("tc,tcf->f", sentence[t : t + size], kernel) + bias)
            for t in range(len(sentence) - size + 1)
        ]
        pooled = POOLINGS[model.pooling](np.array(values))
        if model.pooling == "local_max":
            # as many regions as the padded text has windows
            pooled = pooled[: -(-(model.length - size + 1) // 3)]
        features += pooled
    kernel, bias = layer(model, "logits")
    return np.concatenate(features) @ kernel + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "arguments",
    [{"pooling": p} for p in POOLINGS]
    + [{"channels": c} for c in ("rand", "static", "non-static")]
    + [{"activation": a} for a in ACTIVATIONS],
    ids=str,
)
def test_against_loops(arguments):
    model = small(**arguments)
    found = model.predict(model.encode(TEXTS), verbose=0)
    np.testing.assert_allclose(found, softmax(np.stack([brute_force(model, t) for t in TEXTS])), atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "k_max", "average"])
def test_padding_does_not_matter(pooling):
    short, long = small(pooling=pooling), small(pooling=pooling, length=40)
    long.set_weights(short.get_weights())
    np.testing.assert_allclose(short.predict(short.encode(TEXTS), verbose=0), long.predict(long.encode(TEXTS), verbose=0), atol=1e-6)


def test_what_is_trained():
    def tables(channels):
        model = small(channels=channels)
        before = {v.path: ops.convert_to_numpy(v) for v in model.weights if "vectors" in v.path}
        model.fit(**model.example_data(4), verbose=0)
        return {v.path.split("/")[-2]: bool(np.any(ops.convert_to_numpy(v) != before[v.path])) for v in model.weights if v.path in before}

    assert tables("rand") == tables("non-static") == {"vectors": True}
    assert tables("static") == {"static_vectors": False}
    assert tables("multichannel") == {"vectors": True, "static_vectors": False}
    both = small(channels="multichannel")
    np.testing.assert_array_equal(layer(both, "vectors")[0], layer(both, "static_vectors")[0])


def test_word_vectors():
    rng = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(4000)]
    given = {word: rng.normal(0, 0.7, 6) for word in vocabulary[:1000]}
    model = small(vocabulary=vocabulary)
    assert model.load_word_vectors({**given, "other": np.zeros(6)}) == 0.25
    for name in ("vectors", "static_vectors"):
        table = layer(model, name)[0]
        np.testing.assert_allclose(table[2:1002], np.stack(list(given.values())), rtol=1e-6)
        assert table[1002:].std() == pytest.approx(0.7, rel=0.02)
        assert np.abs(table[1002:]).max() <= 0.7 * 3**0.5 * 1.02
    with pytest.raises(ValueError, match="`channels`"):
        small(channels="rand").load_word_vectors(given)
    for bad, name in (({"other": np.zeros(6)}, "`words`"), ({"w1": np.zeros(5)}, "`vectors`")):
        with pytest.raises(ValueError, match=name):
            model.load_word_vectors(bad)


def test_norm_of_the_output_weights_of_each_class():
    model = small(max_norm=0.1)
    assert np.linalg.norm(layer(model, "logits")[0], axis=0).min() > 0.2
    model.fit(**model.example_data(4), verbose=0)
    np.testing.assert_allclose(np.linalg.norm(layer(model, "logits")[0], axis=0), 0.1, rtol=1e-4)
    free = small(max_norm=None)
    free.fit(**free.example_data(4), verbose=0)
    assert np.linalg.norm(layer(free, "logits")[0], axis=0).min() > 0.2


@pytest.mark.parametrize("pooling", list(POOLINGS))
def test_contributions_add_up_to_the_logit(pooling):
    model = small(pooling=pooling, activation="relu")
    bias = layer(model, "logits")[1]
    for text in TEXTS:
        for label in range(3):
            total = sum(value for _, value in model.highlights([text], top=100, label=label)[0])
            assert total + bias[label] == pytest.approx(brute_force(model, text)[label], abs=1e-5)


def test_highlights_are_the_ngrams_that_win():
    """One filter that fires on "cat sat" alone."""
    model = small(
        channels="rand", region_sizes=[2], feature_maps=1, pooling="max", activation="relu", num_classes=2, class_names=["no", "yes"]
    )
    model.regions.get_layer("vectors").set_weights([np.eye(9, 6, dtype="float32")])
    kernel = np.zeros((2, 6, 1), "float32")
    cat, sat = model.encode(["cat sat"])[0][:2]
    kernel[0, cat], kernel[1, sat] = 1, 1
    model.regions.get_layer("region0").set_weights([kernel, np.array([-1.5], "float32")])
    model.head.get_layer("logits").set_weights([np.array([[-2, 2]], "float32"), np.zeros(2, "float32")])
    assert model.highlights(["A cat sat on the mat"]) == [[("cat sat", 1.0)]]
    assert [name for name, _ in model.classify(["a cat sat", "sat cat"])] == ["yes", "no"]
    assert small(class_names=None).classify(["cat"])[0][0] in (0, 1, 2)


def test_export_takes_strings(tmp_path):
    import tensorflow as tf

    model = small()
    model.export(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model/1"))
    found = loaded.signatures["serving_default"](text=tf.constant(TEXTS))["probabilities"]
    np.testing.assert_allclose(found, model.predict(model.encode(TEXTS), verbose=0), atol=1e-6)


def test_refusals():
    for bad in (
        {"channels": "two"},
        {"pooling": "mean"},
        {"region_sizes": []},
        {"region_sizes": [0]},
        {"length": 2},
        {"length": 4, "pooling": "k_max"},
        {"num_classes": 1},
        {"class_names": ["x"]},
        {"vocabulary": ["a", "a"]},
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            small(**bad)
    for call in (small().encode, small().classify, small().highlights):
        with pytest.raises(ValueError, match="`texts`"):
            call("one text")
    with pytest.raises(ValueError, match="`label`"):
        small().highlights(["a"], label=3)


def test_one_hot_input_is_a_convolution_over_one_hot_vectors():
    model = small(channels="one-hot")
    ids = model.encode(TEXTS)
    vectors = ops.one_hot(ids, model.num_symbols) * (ids != 0)[..., None]
    for size, maps, name in zip(model.region_sizes, model.regions(ids), ("region0", "region1")):
        kernel, bias = model.regions.get_layer(name).get_weights()
        peer = keras.layers.Conv1D(model.feature_maps, size, activation=model.activation)
        peer.build(vectors.shape)
        peer.set_weights([kernel.reshape(model.num_symbols, size, -1).transpose(1, 0, 2), bias])
        np.testing.assert_allclose(maps, peer(vectors), atol=1e-5)
    before = [ops.convert_to_numpy(v) for v in model.regions.weights]
    model.fit(**model.example_data(4), verbose=0)
    assert all(np.any(ops.convert_to_numpy(v) != old) for v, old in zip(model.regions.weights, before))
    with pytest.raises(ValueError, match="`channels`"):
        model.load_word_vectors({"cat": np.zeros(6)})


@pytest.mark.parametrize("channels", ["static", "non-static", "multichannel"])
def test_warns_of_word_vectors_that_were_never_given(channels, recwarn):
    data = small().example_data(4)
    with pytest.warns(UserWarning, match="load_word_vectors"):
        small(channels=channels).fit(**data, verbose=0)
    recwarn.clear()
    given, saved, rand = (small(channels=name) for name in (channels, channels, "rand"))
    given.load_word_vectors(["cat", "mat"], np.ones((2, 6)))
    saved.set_weights(given.get_weights())
    for model in (given, saved, rand):
        model.fit(**data, verbose=0)
    assert not [warning for warning in recwarn if "load_word_vectors" in str(warning.message)]


def test_search_space_is_the_studys():
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    SentenceCNN.search_space(hp)
    assert next(one for one in hp.space if one.name == "largest_region").max_value == 25
    assert len(next(one for one in hp.space if one.name == "activation").values) == 7


@pytest.mark.parametrize("channels", ["rand", "one-hot"])
def test_start_is_that_of_the_authors_code(channels):
    words = [f"w{i}" for i in range(50)]
    for activation, bound in (("relu", 0.01), ("tanh", (6 / (3 * ((20 if channels == "rand" else 52) + 100))) ** 0.5)):
        model = SentenceCNN(words, channels=channels, embedding_size=20, region_sizes=[3], activation=activation)
        assert np.abs(layer(model, "region0")[0]).max() == pytest.approx(bound, rel=0.02)
        assert np.abs(layer(model, "logits")[0]).max() <= 0.01
