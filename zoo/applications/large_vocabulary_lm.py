"""A neural language model over many words, with a choice of how its softmax learns.

Paper: Chen, Grangier, Auli 2015, "Strategies for Training Large Vocabulary Neural Language Models", arXiv 1512.04906. A full softmax costs
as much as there are words, and with 800,000 of them little is learned in a week. What is compared in a fixed time: the softmax; a
hierarchical one, of classes or of a tree (section 3.1); one that gives rare words fewer features (differentiated, 3.2); softmaxes over a
sample (target sampling, 3.4), scores that tell words from noise (3.5), and scores that are seldom normalised (3.6). Whatever it learned by,
probabilities are exact when they are asked for: they add up to one.

Shapes: word ids `(batch, length)` -> log-probability of the text `(batch,)`, in nats.

Differences from the paper:
1. Sizes were chosen to train on a laptop; the paper has hidden layers of 512 to 2048 units. A text starts anew after its end.
2. Classes by frequency are of equal size. Classes by vectors come from bisecting k-means.
3. Noise is drawn by Zipf's law, and shared by a batch. Normalisation takes every tenth place or so, counted through the batch.
4. AdaGrad in place of stochastic gradient descent with a rate that is halved.
5. Biases start at the logarithms of the words' shares in the texts that `fit` is given, if they are an array or `LengthBuckets`.
"""

from typing import Any

import numpy as np

from zoo import arguments
from zoo.families.language_model import LanguageModel
from zoo.layers.differentiated_softmax import DifferentiatedSoftmax, band_shares
from zoo.layers.hierarchical_outputs import ClassSoftmax, TreeSoftmax, checked_classes
from zoo.layers.noise_contrastive import NoiseContrastive
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.sampled_outputs import InfrequentNormalization, TargetSampling
from zoo.layers.window_writer import WindowWriter
from zoo.layers.word_softmax import WordSoftmax, zipf_ranks
from zoo.model import Model, is_stream
from zoo.optimizers.rows import RowAdagrad
from zoo.text import PADDING, LengthBuckets, word_vectorization
from zoo.text.word_classes import frequency_classes, random_classes

STRATEGIES = ("softmax", "hierarchical", "differentiated", "importance_sampling", "target_sampling", "nce", "infrequent_normalization")
READERS = ("feed_forward", "lstm", "gru")
CLASSES = ("frequency", "random", "huffman")


class LargeVocabularyLM(LanguageModel):
    """Language model with seven kinds of softmax (Chen et al. 2015, arXiv 1512.04906).

    Args:
        vocabulary: list of words, the most frequent first, such as `zoo.text.learn_vocabulary(texts)` gives.
        strategy: `"softmax"`, `"hierarchical"`, `"differentiated"`, `"importance_sampling"` (what `WordSoftmax` does with `samples`),
            `"target_sampling"`, `"nce"` (noise-contrastive estimation) or `"infrequent_normalization"`. Arguments of the others are checked
            all the same.
        length: words read of a text.
        reader: what reads the words before: `"feed_forward"` as in the paper, `"lstm"` or `"gru"`.
        embedding_size: length of a word vector.
        units: of each layer.
        num_layers: layers on one another.
        window: words that the feed-forward network reads.
        dropout: rate on word vectors and on features, in training.
        classes: of the hierarchical softmax: `"frequency"`, `"random"`, `"huffman"` (a binary tree), or the class of each word, a list or
            an array such as `zoo.text.vector_classes(vectors)` gives.
        bands: of the differentiated softmax, see `zoo.layers.DifferentiatedSoftmax`.
        samples: words that importance sampling, target sampling and NCE draw for a batch.
        noise: draws that NCE tells a word from; `None` for as many as are drawn.
        share: of the places at which infrequent normalisation normalises.
        strength: weight of its penalty.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    default_batch_size = 16

    def __init__(
        self,
        vocabulary,
        strategy="softmax",
        length=30,
        reader="feed_forward",
        embedding_size=64,
        units=128,
        num_layers=1,
        window=6,
        dropout=0.0,
        classes: Any = "frequency",
        bands=((0.1, 0.6), (0.2, 0.25), (0.7, 0.15)),
        samples=1000,
        noise: int | None = None,
        share=0.1,
        strength=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("strategy", strategy, STRATEGIES)
        arguments.one_of("reader", reader, READERS)
        self.vocabulary, self.strategy, self.length, self.reader = vocabulary, strategy, length, reader
        self.embedding_size, self.units, self.num_layers, self.window, self.dropout = embedding_size, units, num_layers, window, dropout
        self.classes = classes.tolist() if isinstance(classes, np.ndarray) else classes
        self.bands, self.samples, self.noise, self.share, self.strength = bands, samples, noise, share, strength
        vectorization, symbols = word_vectorization(vocabulary, length), len(vocabulary) + 3
        self._check_output(len(vocabulary))
        self._build(vocabulary, vectorization, self._writer(symbols), self._output(symbols))
        self.supports_jit = self.word_softmax.supports_jit
        self.compile()

    def _check_output(self, words):
        """Arguments of all strategies; the layer says the rest."""
        if isinstance(self.classes, str):
            arguments.one_of("classes", self.classes, CLASSES)
        else:
            checked_classes(self.classes, words)
        band_shares(self.bands)
        arguments.count("samples", self.samples)
        if self.noise is not None:
            arguments.count("noise", self.noise)
        arguments.number("share", self.share, above=0, high=1)
        arguments.number("strength", self.strength, above=0)

    def _writer(self, symbols):
        options = {"dropout": self.dropout, "num_layers": self.num_layers, "name": "writer"}
        if self.reader == "feed_forward":
            return WindowWriter(symbols, self.embedding_size, self.units, window=self.window, **options)
        return RecurrentDecoder(symbols, self.embedding_size, self.units, cell=self.reader, readout=None, **options)

    def _output(self, symbols):
        kinds = {
            "softmax": (WordSoftmax, {}),
            "importance_sampling": (WordSoftmax, {"samples": self.samples}),
            "target_sampling": (TargetSampling, {"samples": self.samples}),
            "nce": (NoiseContrastive, {"samples": self.samples, "noise": self.noise}),
            "infrequent_normalization": (InfrequentNormalization, {"share": self.share, "strength": self.strength}),
            "differentiated": (DifferentiatedSoftmax, {"bands": self.bands}),
            "hierarchical": (ClassSoftmax, {}),
        }
        layer, options = kinds[self.strategy]
        if self.strategy == "hierarchical":
            layer, options = (TreeSoftmax, {"counts": _zipf(symbols)}) if self.classes == "huffman" else (layer, self._classes(symbols))
        return layer(symbols, self.units, **options, name="word_softmax")

    def _classes(self, symbols):
        """Of all ids; where the words' are given, padding, the unknown word and the end have one of their own."""
        if isinstance(self.classes, str):
            found = frequency_classes(_zipf(symbols)) if self.classes == "frequency" else random_classes(symbols)
        else:
            given = checked_classes(self.classes, symbols - 3)
            own = given.max() + 1
            found = np.concatenate([[own, own], given, [own]])
        return {"classes": found.tolist()}

    def fit(self, x=None, y=None, *args, **kwargs):
        """`zoo.Model.fit`; the first one starts from the shares of the words in ids, see `WordSoftmax.start_from`."""
        ids = x.x if isinstance(x, LengthBuckets) else x
        if not is_stream(ids):
            arguments.check_call(Model.fit, self, x, y, *args, **kwargs)
            self.word_softmax.start_from(self.prepared(ids)[0])
        return super().fit(x, y, *args, **kwargs)

    def default_optimizer(self):
        """AdaGrad by rows: with the sampled and the hierarchical strategies a step costs the same for any number of words.

        Its averages start from almost nothing, as gradients of means over a batch are small beside Keras's 0.1.
        """
        return RowAdagrad(0.1, initial_accumulator_value=1e-6)

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "strategy": "hierarchical",
            "length": 6,
            "reader": "gru",
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "window": 3,
            "dropout": 0.1,
            "classes": [0, 1, 1, 0, 0, 1, 2],
            "bands": [[0.3, 0.5], [0.7, 0.5]],
            "samples": 4,
            "noise": 2,
            "share": 0.5,
            "strength": 0.5,
        }

    @classmethod
    def search_space(cls, hp):
        """The strategy, sizes, dropout and learning rate."""
        return {
            "strategy": hp.Choice("strategy", ["softmax", "hierarchical", "differentiated", "target_sampling"]),
            "units": hp.Choice("units", [128, 256, 512]),
            "window": hp.Int("window", 3, 10),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 0.02, 0.3, sampling="log"),
        }


def _zipf(symbols):
    """Counts of ids by Zipf's law: padding never, the end of a text, which has the last id, as often as the first words."""
    counts = symbols // zipf_ranks(symbols)
    counts[PADDING] = 0
    return counts.tolist()
