"""What dialogue memory networks are compared with: an LSTM, a question-answering system, SVD of ratings, and retrieval."""

from collections import Counter

import keras
import numpy as np
from keras import layers, ops
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from zoo.applications import DialogMemoryNetwork
from zoo.datasets import film_dialogues

# what is ranked behind this place does not count in any measure
KEPT = 100
# utterances before a message that retrieval looks at, as networks do by default
SAID = 4


class LSTMRanker(DialogMemoryNetwork):
    """An LSTM that reads what was said, the message last, in place of a bag and memories; replies are ranked as by the memory network."""

    def __init__(self, words, entities, units=50, **kwargs):
        kwargs = {**kwargs, "embedding_size": units, "facts": 0, "hops": 0}
        super().__init__(words, entities, **kwargs)

    def _build_weights(self):
        super()._build_weights()
        self.lstm = layers.LSTM(self.embedding_size)
        self.lstm.build((None, None, self.embedding_size))

    def _gather(self, x):
        x = x if isinstance(x, dict) else {"message": x}
        ids = x["message"]
        if "recent" in x:
            before = ops.reshape(ops.flip(x["recent"], axis=1), (-1, self.recent * self.length))
            ids = ops.concatenate([before, ids], axis=1)
        state = self.lstm(ops.take(self.read_vectors, ids, axis=0), mask=ids != 0)
        return state, state[:, :0]


class QuestionAnswering:
    """Finds entity and relation of a question and looks them up: a linear classifier of relations, names found in the text.

    Args:
        messages: list of training questions.
        questions: what they ask for, `zoo.datasets.film_dialogues.Question`.
        retriever: with the knowledge base, and the names.
    """

    def __init__(self, messages, questions, retriever):
        self.retriever = retriever
        self.features = TfidfVectorizer(ngram_range=(1, 3), tokenizer=self._words, lowercase=False, token_pattern=None)
        kinds = [f"{question.relation} {question.inverse}" for question in questions]
        self.classifier = LogisticRegression(C=100.0, max_iter=500).fit(self.features.fit_transform(messages), kinds)

    def _words(self, text):
        return ["<name>" if named else unit for unit, named in self.retriever.matcher.split(text)]

    def rank(self, messages):
        """Lists of answers, those of the most probable relation first."""
        probabilities = self.classifier.predict_proba(self.features.transform(messages))
        return [self._answers(message, row) for message, row in zip(messages, probabilities)]

    def _answers(self, message, probabilities):
        names, found = [unit for unit, named in self.retriever.matcher.split(message) if named], {}
        for kind in np.argsort(-probabilities):
            relation, inverse = self.classifier.classes_[kind].split()
            known = self.retriever.knowledge
            for name in names:
                answers = known.films_with(relation, name) if inverse == "True" else known.objects(name, relation)
                found |= dict.fromkeys(answers)
        return list(found)[:KEPT]


def with_history(dialogues):
    """Pairs of what was said, the last utterances before it first, and the exchange."""
    pairs = (pair for dialogue in dialogues for pair in film_dialogues.with_history(dialogue))
    return [(" ".join([*said[-SAID:], exchange.message]), exchange) for said, exchange in pairs]


def popularity(training, liked):
    """For each list of films those that training dialogues name most often, but for the listed ones."""
    order = [film for film, _ in Counter(film for films in training for film in films).most_common()]
    return [[film for film in order if film not in films][:KEPT] for films in map(set, liked)]


def svd(training, liked, films, rank):
    """Films for lists of some: the rows of the listed films in a truncated SVD of the films that training dialogues list.

    Args:
        training: lists of films that were liked together.
        liked: lists of films; these are not told of again.
        films: list of all.
        rank: of the SVD.
    """
    numbers = {film: i for i, film in enumerate(films)}
    rows = [[numbers[film] for film in row] for row in training]
    places = np.repeat(np.arange(len(rows)), [len(row) for row in rows]), np.concatenate(rows)
    matrix = csr_matrix((np.ones(len(places[0])), places), (len(rows), len(films)))
    _, _, right = svds(matrix, k=rank, random_state=0)
    found = []
    for row in liked:
        known = sorted({numbers[film] for film in row})
        scores = right.T @ right[:, known].sum(axis=1)
        scores[known] = -np.inf
        found.append([films[i] for i in np.argsort(-scores)[:KEPT]])
    return found


def retrieval(training, rows, named, by_message=True):
    """Candidates by TF-IDF: those most like the replies to the training messages that are most like the message, or most like the message.

    Args:
        training: pairs of message and replies.
        rows: pairs of message and candidates, `None` for the replies of training.
        named: for each row what is not told of again.
        by_message: whether messages are compared with messages; else with candidates.
    """
    messages, replies = zip(*training)
    known = TfidfVectorizer(sublinear_tf=True).fit([*messages, *(reply for some in replies for reply in some)])
    keys, values, found = known.transform(messages), known.transform([some[0] for some in replies]), []
    asked = known.transform([message for message, _ in rows])
    for i, (_, candidates) in enumerate(rows):
        if by_message:
            likeness = (keys @ asked[i].T).toarray()[:, 0]
            nearest = np.argsort(-likeness, kind="stable")[:KEPT]
            if candidates is None:
                told = dict.fromkeys(reply for j in nearest for reply in replies[j])
                found.append([reply for reply in told if reply not in named[i]][:KEPT])
                continue
            wanted = csr_matrix(likeness[nearest]) @ values[nearest]
        else:
            wanted = asked[i]
        scores = (known.transform(candidates) @ wanted.T).toarray()[:, 0]
        found.append([candidates[j] for j in np.argsort(-scores, kind="stable")])
    return found


def trained(cls, words, entities, data, rate, seed, validation_data, monitor, epochs, **options):
    """A ranker of `data`, a pair of arrays, as it was after its best pass."""
    keras.utils.set_random_seed(seed)
    model = cls(words, entities, **options)
    model.optimizer.learning_rate = rate
    best = keras.callbacks.EarlyStopping(monitor, mode="max", patience=2, restore_best_weights=True)
    model.fit(*data, epochs=epochs, validation_data=validation_data, callbacks=[best], verbose=0)
    return model
