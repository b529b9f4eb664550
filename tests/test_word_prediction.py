"""Huffman codes, hierarchical softmax, negative sampling, draws, runs of words: against gensim, brute force, closed forms, statistics."""

import heapq

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from zoo import autodiff, layers, metrics, text
from zoo.callbacks import LinearDecay
from zoo.layers.rows import moderate

RNG = np.random.default_rng(0)
COUNTS = [50, 30, 9, 9, 4, 1, 1]
DIM = 5


def shortest(counts):
    """Total length of the best code: the sum of all inner nodes."""
    heap, total = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


@pytest.mark.parametrize("counts", [COUNTS, [1, 1], RNG.integers(1, 1000, 300)], ids=["few", "two", "many"])
def test_huffman_codes_are_shortest_and_prefix_free(counts):
    codes, nodes, mask = text.huffman_codes(counts)
    assert (mask.sum(1) * np.asarray(counts)).sum() == shortest(counts)
    words = ["".join(map(str, code[: int(n)])) for code, n in zip(codes, mask.sum(1))]
    assert not any(a != b and b.startswith(a) for a in words for b in words) and len(set(words)) == len(words)
    assert (nodes[:, 0] == len(counts) - 2).all() and nodes[mask > 0].min() == 0 and (nodes[mask == 0] >= -1).all()


def test_huffman_cost_is_gensims():
    word2vec = pytest.importorskip("gensim.models.word2vec")
    lines = [[str(n) for n in RNG.zipf(1.5, 20) if n < 200] for _ in range(100)]
    theirs = word2vec.Word2Vec(hs=1, negative=0, min_count=1, vector_size=2)
    theirs.build_vocab(lines)
    vocabulary = text.learn_vocabulary(lines)
    counts = text.count_words(lines, vocabulary)
    expected = sum(theirs.wv.get_vecattr(w, "count") * len(theirs.wv.get_vecattr(w, "code")) for w in theirs.wv.key_to_index)
    assert (text.huffman_codes(counts)[2].sum(1) * counts).sum() == expected
    theirs = word2vec.Word2Vec(sample=0.01, min_count=1, vector_size=2)
    theirs.build_vocab(lines)
    kept = [theirs.wv.get_vecattr(w, "sample_int") / 2**32 for w in vocabulary]
    np.testing.assert_allclose(text.keep_probabilities(counts, 0.01), np.minimum(kept, 1), atol=1e-5)


def test_draws_have_their_probabilities():
    sampler = layers.UnigramSampler(COUNTS, 0.75)
    expected = np.array(COUNTS) ** 0.75
    for draws in (ops.convert_to_numpy(sampler((1000, 200), seed=3)), sampler.fixed((1000, 200))):
        drawn = np.bincount(draws.ravel(), minlength=len(COUNTS))
        assert stats.chisquare(drawn, expected / expected.sum() * drawn.sum()).pvalue > 1e-3
    with pytest.raises(ValueError, match="`weights`"):
        text.alias_table([0, 0])


def filled(layer):
    layer.table.assign(RNG.normal(size=layer.table.shape).astype("float32"))
    return layer


def example():
    inputs = RNG.normal(size=(3, 2, DIM)).astype("float32")
    return inputs, RNG.integers(0, len(COUNTS), (3, 4)), RNG.uniform(0, 1, (3, 4, 2)).astype("float32")


@pytest.mark.parametrize("top", [1, 3, 64])
def test_hierarchical_softmax_is_a_distribution(top):
    layer = filled(layers.HierarchicalSoftmax(COUNTS, DIM, top=top))
    inputs, targets, weights = example()
    logs = ops.convert_to_numpy(layer.log_probabilities(inputs))
    np.testing.assert_allclose(np.exp(logs).sum(-1), 1, atol=1e-5)
    picked = np.stack([[logs[r, :, t] for t in targets[r]] for r in range(3)])
    np.testing.assert_allclose(layer(inputs, targets, weights), -(picked * weights).sum(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared", [6, 0])
def test_negative_sampling_pair_by_pair(shared, monkeypatch):
    layer = filled(layers.NegativeSampling(COUNTS, DIM, negative=3, shared=shared))
    inputs, targets, weights = example()
    draws = RNG.integers(0, len(COUNTS), shared or (3, 12))
    draws.flat[:2] = targets[0, 0]  # a draw that is the target does not count
    monkeypatch.setattr(layer, "sampler", lambda shape, seed: ops.convert_to_tensor(draws))
    found = ops.convert_to_numpy(layer(inputs, targets, weights))
    table, soft = ops.convert_to_numpy(layer.table), lambda x: np.log1p(np.exp(x))
    for r in range(3):
        for t, word in enumerate(targets[r]):
            own = draws if shared else draws[r, 3 * t : 3 * t + 3]
            pair = [soft(-x @ table[word]) + 3 / len(own) * sum(soft(x @ table[n]) for n in own if n != word) for x in inputs[r]]
            np.testing.assert_allclose(found[r, t], weights[r, t] @ pair, rtol=1e-4)
    # many fixed draws stand for `negative` ones
    many = np.repeat(np.arange(len(COUNTS)), 2)
    some = ops.convert_to_numpy(layer(inputs, targets, weights, draws=ops.convert_to_tensor(many)))
    pair = [soft(-x @ table[targets[0, 0]]) + 3 / 14 * sum(soft(x @ table[n]) for n in many if n != targets[0, 0]) for x in inputs[0]]
    np.testing.assert_allclose(some[0, 0], weights[0, 0] @ pair, rtol=1e-4)


@pytest.mark.parametrize("kind", ["hierarchical", "sampling"])
def test_gradients_by_finite_differences(kind):
    inputs, targets, weights = example()
    layer = filled(layers.HierarchicalSoftmax(COUNTS, DIM) if kind == "hierarchical" else layers.NegativeSampling(COUNTS, DIM))
    options = {} if kind == "hierarchical" else {"draws": ops.convert_to_tensor(np.array([1, 2, 0]))}
    loss = lambda x: ops.sum(layer(x, targets, weights, **options))  # noqa: E731
    found = ops.convert_to_numpy(autodiff.grad(loss, ops.convert_to_tensor(inputs)))
    for place in [(0, 0, 0), (2, 1, 4), (1, 0, 2)]:
        step = np.zeros_like(inputs)
        step[place] = 1e-2
        slope = (float(loss(inputs + step)) - float(loss(inputs - step))) / 2e-2
        np.testing.assert_allclose(found[place], slope, rtol=2e-2, atol=2e-3)


def test_rows_that_are_used_often_learn_from_a_mean():
    table, ids = ops.convert_to_tensor(RNG.normal(size=(4, 2)).astype("float32")), ops.convert_to_tensor([[0, 1], [0, 0]])
    uses = ops.convert_to_tensor([[1.0, 1.0], [2.0, 5.0]])

    def loss(table, most):
        return ops.sum(moderate(ops.take(table, ids, axis=0), ids, uses, 4, most))

    free, limited = (ops.convert_to_numpy(autodiff.grad(lambda t, m=most: loss(t, m), table)) for most in (None, 2))
    np.testing.assert_array_equal(free, [[3, 3], [1, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(limited, [[3 * 2 / 8] * 2, [1, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(loss(table, 2), loss(table, None), rtol=1e-6)


def test_layers_refuse_and_come_back():
    for bad in ({"counts": [1]}, {"counts": [1, -1]}, {"dim": 0}):
        for kind in (layers.HierarchicalSoftmax, layers.NegativeSampling):
            with pytest.raises(ValueError, match=next(iter(bad))):
                kind(**{"counts": COUNTS, "dim": 2, **bad})
    layer = layers.NegativeSampling(COUNTS, 2, 7, 0.5, 4, 9)
    assert layers.NegativeSampling.from_config(layer.get_config()).get_config() == layer.get_config()
    for bad in ([5], [1, -1]):
        with pytest.raises(ValueError, match="`counts`"):
            text.huffman_codes(bad)


# --- runs of words ---


def test_chunks_hold_every_word_once_with_its_neighbours():
    words, lengths = np.arange(2, 25), [5, 0, 11, 7]
    batches = text.Chunks(words, lengths, length=4, halo=2, batch_size=3)
    assert len(batches) == 3
    rows = [(d, row) for i in range(3) for d, row in zip(*batches[i].values()) if row.any()]
    assert sorted(w for _, row in rows for w in row[2:6] if w) == words.tolist()
    owner = dict(zip(words, np.repeat(np.arange(4), lengths)))
    for document, row in rows:
        assert {owner[w] for w in row if w} == {document}
        for place in range(2, 6):
            if row[place]:
                for other, near in ((row[place] - 1, row[place - 1]), (row[place] + 1, row[place + 1])):
                    assert near == (other if owner.get(other) == document else 0)
    with pytest.raises(ValueError, match="`lengths`"):
        text.Chunks(words, [3])


def test_chunks_thin_out_frequent_words():
    words = np.repeat([2, 3], 3000)
    batches = text.Chunks(words, [6000], length=8, batch_size=50, keep=np.array([0, 0, 0.25, 1], "float32"))
    counts = []
    for _ in range(2):
        counts.append(np.bincount(np.concatenate([batches[i]["words"].ravel() for i in range(len(batches))]), minlength=4))
        batches.on_epoch_end()
    assert all(abs(c[2] - 750) < 100 and 2900 < c[3] <= 3000 for c in counts) and counts[0][2] != counts[1][2]


def test_flat_ids_and_ngrams():
    lines, vocabulary = ["The cat sat", "", "cat"], ["cat", "the cat", "the", "the cat sat"]
    for texts in (lines, text.tokenize(lines)):
        ids, lengths = text.flat_ids(texts, vocabulary, ngrams=3)
        assert ids.tolist() == [4, 2, 1, 3, 1, 5, 2] and lengths.tolist() == [6, 0, 1]
    layer = text.word_vectorization(vocabulary, 6, ngrams=3)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(lines[:1]))[0], [4, 2, 1, 3, 1, 5])
    assert text.with_ngrams([["a", "b", "c"], ["a"]], 3) == [["a", "b", "c", "a b", "b c", "a b c"], ["a"]]
    for bad in ("one", [], [3]):
        with pytest.raises(ValueError, match="`texts`"):
            text.flat_ids(bad, vocabulary)


def test_learning_rate_falls_in_a_line():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    rates = []
    # read through the callback, which on JAX brings the running values
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: rates.append(float(log.model.optimizer.learning_rate)))
    model.fit(np.ones((6, 1)), np.ones(6), batch_size=3, epochs=2, verbose=0, callbacks=[LinearDecay(0.2), log])
    np.testing.assert_allclose(rates, [1.0, 0.8, 0.6, 0.4], rtol=1e-6)
    assert float(model.optimizer.learning_rate) == 1.0
    with pytest.raises(ValueError, match="`start`"):
        LinearDecay(0.2, start=0.1)


def test_triplet_accuracy():
    from scipy import sparse

    anchor, near, far = np.eye(3), np.array([[2.0, 1, 0], [1, 1, 0], [1, 0, 1]]), np.array([[1.0, 1, 1], [0, 5, 0], [0, 1, 1]])
    expected = (1 + 0 + 0.5) / 3
    assert metrics.triplet_accuracy(anchor, near, far) == pytest.approx(expected)
    assert metrics.triplet_accuracy(*map(sparse.csr_matrix, (anchor, near, far))) == pytest.approx(expected)
    with pytest.raises(ValueError, match="`anchor`"):
        metrics.triplet_accuracy(anchor, near, far[:2])
