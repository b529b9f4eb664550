"""DV-ngram: a vector for each document, learned by predicting its words and n-grams from the vector alone.

Li, Liu, Du, Zhang, Zhao 2015, "Learning Document Embeddings by Predicting N-grams for Sentiment Classification of Long Movie Reviews",
arXiv 1512.08183. Vectors of words are not used: where these predict the next word well, a document's vector has nothing left to learn.
Every n-gram is a token of its own, appended to the words of its document; the output is negative sampling. A document is then classified by
a logistic regression on its vector.

Shapes: `document` `(batch,)` and `words` `(batch, run)` ids of words and n-grams in training, cut by `fit` from documents of any length;
`words` `(batch, length)` ids in `predict`, which infers vectors `(batch, dim)`. Ids: 0 padding, 1 unknown, words and n-grams from 2.

Differences from the paper:

1. A batch holds many tokens and is one update with the sum of their gradients; a row that a batch uses more than `most_uses` times takes
   the mean of its gradients times this. With `shared_negatives` all tokens of a batch share their draws.
2. Vectors of new documents are inferred with the output frozen, from zeros and with fixed draws, so that a document always gets the same
   vector; the paper trains on the documents that it tests on as well.
3. Dimension, learning rate, draws and the absence of sub-sampling are those of the authors' code, which makes 20 passes over tokens that
   occur twice or more: `from_texts(texts, min_count=2)` and `fit(texts, epochs=20)`. The rate falls to 1e-4 and not to 0.
"""

from zoo.families.document_vectors import DocumentVectors


class DVNgram(DocumentVectors):
    """DV-ngram (Li et al. 2015, arXiv 1512.08183); `from_texts` makes a model for a list of documents, `fit` trains it.

    Args:
        vocabulary: list of words, and of n-grams as words joined by spaces; ids are their places plus 2.
        counts: how often each occurs.
        num_documents: documents that have a vector of their own.
        dim: length of the vectors.
        ngrams: longest run of words to predict: 3 for words, bigrams and trigrams (the paper's best), 1 for words alone, which is PV-DBOW.
        negative: draws of negative sampling.
        power: of the counts in these draws.
        shared_negatives: 0, or how many draws all tokens of a batch share, each weighted by `negative / shared_negatives`: faster, and
            the same on average; 256 for some thousand tokens, 1024 for ten thousand and more.
        sample: relative frequency from which on tokens are sub-sampled; 0 for none.
        run: tokens of a document that make a training example.
        most_uses: limit of what one batch adds to one row, see difference 1; `None` for none.
        learning_rate: of the first batch, and of the first step of inference.
        end_learning_rate: of the last.
        steps: passes over a document in inference; `None` for as many as the first `fit` has epochs, 5 before it.
        length: tokens of a document in `encode`, `predict` and exported signatures: all n-grams of so many of its first words as it holds
            (1025 words with the defaults), words first, then bigrams, then trigrams. `infer` takes all words.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(
        self,
        vocabulary,
        counts,
        num_documents,
        dim=500,
        ngrams=3,
        negative=5,
        power=0.75,
        shared_negatives=0,
        sample=0.0,
        run=16,
        most_uses=256,
        learning_rate=0.025,
        end_learning_rate=1e-4,
        steps=None,
        length=3072,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if ngrams < 1:
            raise ValueError(f"`ngrams` must be at least 1. Received: {ngrams}")
        self.vocabulary, self.counts, self.num_documents, self.dim, self.ngrams = vocabulary, counts, num_documents, dim, ngrams
        self.negative, self.power, self.shared_negatives = negative, power, shared_negatives
        self.sample, self.run, self.most_uses = sample, run, most_uses
        self.learning_rate, self.end_learning_rate, self.steps, self.length = learning_rate, end_learning_rate, steps, length
        self._make("negative_sampling", shared_negatives)
        self.compile()

    @classmethod
    def example_config(cls):
        """Six documents, a few words and bigrams, with the options that are not the default."""
        return {
            "vocabulary": ["the", "cat", "the cat", "sat", "cat sat", ","],
            "counts": [9, 4, 3, 3, 2, 1],
            "num_documents": 6,
            "dim": 4,
            "ngrams": 2,
            "negative": 3,
            "power": 0.5,
            "shared_negatives": 8,
            "sample": 0.01,
            "run": 3,
            "most_uses": 8,
            "learning_rate": 0.1,
            "end_learning_rate": 1e-3,
            "steps": 3,
            "length": 7,
        }

    @classmethod
    def search_space(cls, hp):
        """Length of the vectors, draws and learning rate."""
        return {
            "dim": hp.Int("dim", 16, 512, sampling="log"),
            "negative": hp.Int("negative", 2, 20, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-2, 2e-1, sampling="log"),
        }

    def _word_losses(self, vectors, words, weights, training=False, draws=None):
        """Losses of the tokens of runs, see `DocumentVectors`."""
        return self.predict_words(vectors[:, None], self._targets(words), weights[..., None], draws=draws)
