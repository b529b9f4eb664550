"""Encoder, attention and decoder: against the equations in NumPy, against enumeration, and all places at once against steps."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo import autodiff
from zoo.decoding import beam_search
from zoo.layers import Attention, RecurrentDecoder, RecurrentEncoder
from zoo.layers.attention import SCORINGS

RNG = np.random.default_rng(0)


def numpy(x):
    return ops.convert_to_numpy(x)


def randomise(layer):
    for weight in layer.trainable_variables:
        weight.assign(RNG.normal(size=weight.shape).astype("float32") * 0.5)
    return layer


@pytest.mark.parametrize("scoring", SCORINGS)
def test_attention_is_the_equation(scoring):
    layer = randomise(Attention(4, 4, scoring, 3 if scoring == "additive" else None))
    query, memory = RNG.normal(size=(2, 3, 4)).astype("float32"), RNG.normal(size=(2, 5, 4)).astype("float32")
    present = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    contexts, weights = map(numpy, layer(query, memory, present))
    w = {v.name: numpy(v) for v in layer.weights}
    for b in range(2):
        for i in range(3):
            scores = []
            for j in np.flatnonzero(present[b]):
                q, m = query[b, i], memory[b, j]
                if scoring == "additive":
                    scores.append(np.tanh(q @ w["query_kernel"] + m @ w["memory_kernel"] + w["bias"]) @ w["vector"][:, 0])
                elif scoring == "general":
                    scores.append(q @ (m @ w["memory_kernel"]))
                else:
                    scores.append(q @ m / (2 if scoring == "scaled_dot" else 1))
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[b, i, : len(expected)], expected, rtol=1e-4)
            assert not weights[b, i, len(expected) :].any()
            np.testing.assert_allclose(contexts[b, i], expected @ memory[b, : len(expected)], rtol=1e-4, atol=1e-6)


def test_attention_refuses_products_of_unequal_lengths():
    with pytest.raises(ValueError, match="query_dim"):
        Attention(3, 4, "dot")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"bidirectional": True, "num_layers": 2}])
def test_padding_changes_nothing(cell, options):
    encoder = RecurrentEncoder(9, 5, 6, cell=cell, **options)
    ids = np.array([[3, 1, 4, 0, 0], [1, 5, 2, 6, 5]], "int32")
    memory, states, present = encoder(ids)
    short, last, _ = encoder(ids[:1, :3])
    assert numpy(present).tolist() == (ids > 0).tolist() and not numpy(memory)[0, 3:].any()
    np.testing.assert_allclose(memory[:1, :3], short, atol=1e-6)
    assert len(states) == encoder.num_layers * (2 if cell == "lstm" else 1)
    for one, other in zip(states, last):
        np.testing.assert_allclose(one[:1], other, atol=1e-6)
    end = (0 if options.get("reverse") else 2) if not options.get("bidirectional") else None
    if end is not None:
        np.testing.assert_allclose(states[0][:1], short[:, end], atol=1e-6)


CONFIGS = [
    {},
    {"num_layers": 2, "cell": "gru", "readout": None},
    {"memory_dim": 6, "num_layers": 2},
    {"memory_dim": 4, "attention": "dot", "readout": None, "constant_dim": 3},
    {"memory_dim": 4, "readout": "linear", "readout_dim": 7, "num_layers": 2},
    {"memory_dim": 6, "feed_context": True, "readout": "maxout", "cell": "gru", "constant_dim": 3},
    {"memory_dim": 6, "feed_context": True, "num_layers": 2, "attention": "general"},
]


def case(config):
    decoder = randomise(RecurrentDecoder(7, 5, 4, **config))
    batch, places = 2, 3
    given = {}
    if decoder.memory_dim:
        given["memory"] = RNG.normal(size=(batch, places, decoder.memory_dim)).astype("float32")
        given["present"] = np.array([[1, 1, 0], [1, 1, 1]], bool)
    if decoder.constant_dim:
        given["constant"] = RNG.normal(size=(batch, 3)).astype("float32")
    state = [RNG.normal(size=(batch, 4)).astype("float32") for _ in decoder.zero_state(batch)]
    return decoder, given, state, RNG.integers(0, 7, (batch, 5)).astype("int32")


@pytest.mark.parametrize("config", CONFIGS)
def test_steps_are_what_call_gives_at_once(config):
    decoder, given, state, ids = case(config)
    run = autodiff.compiled(lambda ids, *state: decoder(ids, list(state), **given), decoder)
    features, weights = run(ids, *state)
    assert features.shape == (2, 5, decoder.width) and (weights is None) == ("memory" not in given)
    step = decoder.stepper(**{name: ops.convert_to_tensor(value) for name, value in given.items()})
    # three rows of every text, as in a beam
    state = [ops.repeat(ops.convert_to_tensor(part), 3, axis=0) for part in state]
    for place in range(5):
        found, state = step(ops.repeat(ops.convert_to_tensor(ids[:, place]), 3, axis=0), state)
        np.testing.assert_allclose(found, np.repeat(numpy(features)[:, place], 3, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_read_is_read_step_by_step(config):
    """Features at the words, and the states behind the last of them."""
    decoder, given, state, ids = case(config)
    ids[ids == 0], ids[0, 3:] = 1, 0
    features, states = autodiff.compiled(lambda ids, *state: decoder.read(ids, list(state), **given), decoder)(ids, *state)
    for row, length in enumerate((3, 5)):
        step = decoder.stepper(**{name: ops.convert_to_tensor(value[row : row + 1]) for name, value in given.items()})
        moved = [ops.convert_to_tensor(part[row : row + 1]) for part in state]
        for place in range(length):
            found, moved = step(ops.convert_to_tensor(ids[row : row + 1, place]), moved)
            np.testing.assert_allclose(found[0], numpy(features)[row, place], rtol=1e-4, atol=1e-5)
        for one, other in zip(moved, states):
            np.testing.assert_allclose(one[0], other[row], rtol=1e-4, atol=1e-5)


def test_feeding_is_the_equation():
    decoder, given, state, ids = case({"memory_dim": 6, "feed_context": True, "cell": "gru", "readout": None})
    features = numpy(decoder(ids, state, **given)[0])
    gru, h, vectors = decoder.writers[0].cell, state[0], numpy(decoder.embedding.embeddings)
    for place in range(5):
        context = numpy(decoder.attend(h[:, None], given["memory"], given["present"])[0])[:, 0]
        x = np.concatenate([vectors[ids[:, place]], context], axis=1)
        inner = x @ numpy(gru.kernel) + numpy(gru.bias)[0]
        outer = h @ numpy(gru.recurrent_kernel) + numpy(gru.bias)[1]
        z, r = (1 / (1 + np.exp(-(inner[:, i : i + 4] + outer[:, i : i + 4]))) for i in (0, 4))
        new = z * h + (1 - z) * np.tanh(inner[:, 8:] + r * outer[:, 8:])
        np.testing.assert_allclose(features[:, place], np.concatenate([new, context], axis=1), rtol=1e-4, atol=1e-5)
        h = new


@pytest.mark.parametrize("config", CONFIGS[2:])
def test_every_weight_has_a_gradient(config):
    decoder, given, state, ids = case(config)

    def loss():
        return ops.sum(decoder(ids, state, **given)[0] ** 2)

    for gradient, weight in zip(autodiff.value_and_weight_grad(loss, decoder.trainable_variables)[1], decoder.trainable_variables):
        gradient = numpy(ops.convert_to_tensor(gradient))
        assert np.abs(gradient).max() > 0, weight.path


def test_a_search_over_a_memory_finds_the_best_of_all():
    decoder, given, state, _ = case({"memory_dim": 6, "feed_context": True, "readout": None})
    project = RNG.normal(size=(decoder.width, 7)).astype("float32")
    step = decoder.stepper(**{name: ops.convert_to_tensor(value) for name, value in given.items()})

    def logits(ids, state):
        features, state = step(ids, state)
        return ops.matmul(features, project), state

    start = ops.full((2,), 6, "int32")
    found, scores = beam_search(logits, [ops.convert_to_tensor(s) for s in state], start, 2, beams=36)
    every = np.stack(np.meshgrid(np.arange(1, 7), np.arange(1, 7), indexing="ij"), axis=-1).reshape(-1, 2)
    for text in range(2):
        before = np.concatenate([np.full((36, 1), 6), every[:, :1]], axis=1).astype("int32")
        rows = {name: np.repeat(value[text : text + 1], 36, axis=0) for name, value in given.items()}
        features = numpy(decoder(before, [np.repeat(s[text : text + 1], 36, axis=0) for s in state], **rows)[0])
        chances = numpy(ops.log_softmax(features @ project))
        total = np.take_along_axis(chances, every[..., None], axis=2).sum(axis=(1, 2))
        order = np.argsort(-total)
        np.testing.assert_allclose(numpy(scores)[text], total[order], rtol=1e-4)
        np.testing.assert_array_equal(numpy(found)[text, 0], every[order[0]])


def test_layers_come_back_from_their_configs():
    for layer in (Attention(3, 4), RecurrentEncoder(9, 5, 6, bidirectional=True), RecurrentDecoder(7, 5, 4, memory_dim=6)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert again.get_config() == layer.get_config() and len(again.weights) == len(layer.weights)
