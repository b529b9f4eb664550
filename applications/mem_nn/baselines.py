"""What memory networks are compared with on the bAbI tasks: n-grams, an LSTM, and support vector machines that search for supports."""

from collections import Counter

import keras
import numpy as np
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from zoo.datasets.babi import tokenize


def ngrams(train, test, c=1.0):
    """Accuracy of a bag of the 1- to 3-grams of the question and of sentences that share a word with it."""

    def bag(example):
        question = tokenize(example.question)
        lines = [words for words in map(tokenize, example.story) if set(words) & set(question)]
        return [f"told {run}" for line in lines for run in _runs(line)] + [f"asked {run}" for run in _runs(question)]

    model = make_pipeline(CountVectorizer(analyzer=bag), LogisticRegression(C=c, max_iter=200, tol=1e-3))
    model.fit(train, [example.answer for example in train])
    return float(np.mean(model.predict(test) == [example.answer for example in test]))


def _runs(words, longest=3):
    return [" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


def lstm(train, test, seed, learning_rate=3e-3, units=64, longest=512, epochs=30, batch_size=32):
    """Accuracy of an LSTM that reads story and question as one text and ends in a softmax over answers."""
    words = sorted({word for e in train for sentence in (*e.story, e.question) for word in tokenize(sentence)})
    answers = sorted({example.answer for example in train})
    ids, labels = ({word: i for i, word in enumerate(some, start=start)} for some, start in ((words, 1), (answers, 0)))

    def arrays(examples):
        rows = [[ids.get(word, 0) for sentence in (*e.story, e.question) for word in tokenize(sentence)][-longest:] for e in examples]
        # padding in front, which the LSTM reads before anything is told
        return keras.utils.pad_sequences(rows), np.array([labels.get(example.answer, -1) for example in examples])

    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Embedding(len(words) + 1, 50), keras.layers.LSTM(units), keras.layers.Dense(len(answers))]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate, global_clipnorm=5.0), loss)
    model.fit(*arrays(train), batch_size=batch_size, epochs=epochs, verbose=0)
    x, y = arrays(test)
    return float(np.mean(model.predict(x, batch_size=100, verbose=0).argmax(axis=1) == y))


# --- support vector machines ---

VERBS = set(
    "moved went journeyed travelled got grabbed took picked dropped discarded put left gave handed passed give gave gets receive received "
    "is are was has have does do did go fit fits carrying afraid bored hungry thirsty tired bigger".split()
)
PREPOSITIONS = set("to in of from before at than inside for either or no not longer with by down up back there".split())
FUNCTION = set("the a an that this and then after afterwards following where what who which how you many".split())
TIMES = set("yesterday morning afternoon evening".split())
PRONOUNS = {"he", "she", "they", "him", "her"}
SINGULAR = {"mice": "mouse", "wolves": "wolf", "cats": "cat"}
BEAMS, MOST = 5, 4


def roles(sentences):
    """For each sentence what is done, and pairs (role, word); pronouns are the last ones who did something.

    Roles are by rules that fit these sentences: before the verb, after it, or behind a preposition. The paper has labels of a program
    that was trained on other texts.
    """
    found, last = [], []
    for sentence in sentences:
        verb, pairs, role = "", [], "subject"
        for word in tokenize(sentence):
            if word in VERBS:
                verb, role = verb or word, "object"
                pairs.append(("verb", word))
            elif word in PREPOSITIONS:
                role = word
                pairs.append(("preposition", word))
            elif word in TIMES:
                pairs.append(("time", word))
            elif word in PRONOUNS:
                pairs += [(role, other) for other in last]
            elif word not in FUNCTION:
                pairs.append((role, SINGULAR.get(word, word)))
        last = [word for role, word in pairs if role == "subject"] or last
        found.append((verb, pairs))
    return found


def _content(frame):
    return [(role, word) for role, word in frame[1] if role not in ("verb", "preposition")]


def _link(question, chain, place, frames):
    """What tells whether the fact `place` follows the question and the facts of a chain."""
    verb, here = frames[place][0], _content(frames[place])
    asked = f"{question[0]}:{len(chain)}"
    found = Counter({f"{asked}>{verb}": 1})
    previous = frames[chain[-1]] if chain else question
    order = ("start" if not chain else "before" if place < chain[-1] else "after") + f":{len(chain)}"
    found[f"{order}>{verb}"] += 1
    for name, other in (("question", question), ("previous", previous)):
        for role, word in _content(other):
            for own, same in here:
                if word != same:
                    continue
                # whether a later fact, or one between, says something of the word in this place
                rest = range(place + 1, len(frames) if not chain or place > chain[-1] else chain[-1])
                latest = not any((own, word) in frames[i][1] for i in rest)
                for key in (f"{name}:{role}={own}", f"{name}:{other[0]}:{role}={verb}:{own}"):
                    for more in (asked, order, f"{order}:{latest}", f"{asked}:{latest}"):
                        found[f"{key}:{more}"] += 1
    if not chain:
        return found
    # words of the fact before that the question does not have
    news = {word for _, word in _content(previous)} - {word for _, word in _content(question)}
    found[f"{asked}:news={bool(news & {word for _, word in here})}:{order}"] += 1
    return found


def _end(question, chain, frames):
    """What tells whether a chain is whole."""
    verbs = [frames[place][0] for place in chain]
    return Counter({f"end:{question[0]}:{len(chain)}": 1, f"end:{question[0]}:{verbs}": 1})


def _answer(question, chain, frames, answer):
    """What tells whether an answer follows from a chain."""
    whole = f"{question[0]}:{'/'.join(word for role, word in question[1] if role in ('preposition', 'verb'))}"
    signs = ["/".join(word for role, word in frames[place][1] if role in ("preposition", "verb")) for place in chain]
    found = Counter({f"{answer}": 1, f"{answer}:{whole}": 1, f"{answer}:{len(chain)}": 1, f"{answer}:{whole}:{signs}": 1})
    asked = dict(_content(question))
    place_of = {word: role for role, word in _content(question)}
    for i, place in enumerate(chain):
        for role, word in _content(frames[place]):
            # roles of the words that the question asks of, with the answer; and of the answer itself
            key = f"{whole}:{i}:{len(chain)}:{frames[place][0]}:{role}"
            if word == answer:
                found[f"is {key}"] += 1
                found[f"is {whole}:{i}:{role}"] += 1
            found[f"{answer}:{key}:{place_of.get(word)}"] += 1
            found[f"{answer}:{signs[i]}:{role}:{place_of.get(word)}:{i}"] += 1
    found[f"known:{answer in asked.values()}:{whole}"] += 1
    ties = [[(r, s) for r, w in _content(frames[a]) for s, v in _content(frames[b]) if w == v] for a, b in zip(chain, chain[1:])]
    relations = "|".join(f"{sign}{tie}" for sign, tie in zip(signs, [*ties, ""]))
    roles_asked = [[(role, place_of[word]) for role, word in _content(frames[place]) if word in place_of] for place in chain]
    found[f"{answer}:{whole}:{relations}:{roles_asked}"] += 1
    # what else each fact says, such as a direction
    known = {word for _, word in _content(question)}
    ends = [
        sorted({word for _, word in _content(frames[a]) for _, other in _content(frames[b]) if word == other})
        for a, b in zip(chain, chain[1:])
    ]
    news = [[word for _, word in _content(frames[place]) if word not in known and not any(word in end for end in ends)] for place in chain]
    for i, words in enumerate(news):
        found[f"{answer}:{whole}:{i}:{words}:{roles_asked[i]}"] += 1
    found[f"{answer}:{whole}:all:{news}:{roles_asked}"] += 1
    return found


class StructuredSVM:
    """Supports by a beam over the sum of the scores of links, then an answer from question and supports; both by linear machines.

    As in the paper supports are learned first, from what is told of them; the search keeps several chains, which is what makes it
    differ from hops that each take the best sentence.
    """

    def fit(self, examples, c=0.1, wrong=8, seed=0):
        """Learn from examples with supports."""
        rng = np.random.default_rng(seed)
        self.answers = [answer for answer, _ in Counter(example.answer for example in examples).most_common()]
        links, answers = ([], []), ([], [])
        for example in examples:
            question, frames = self._read(example)
            right = list(example.support)[:MOST]
            for i in range(len(right) + 1):
                others = [place for place in range(len(frames)) if place not in right[: i + 1]]
                near = [place for place in others if _shares(frames[place], question, frames, right[:i])] or others
                for place in rng.permutation(near)[:wrong]:
                    links[0].append(_link(question, right[:i], place, frames))
                    links[1].append(0)
                links[0].append(_link(question, right[:i], right[i], frames) if i < len(right) else _end(question, right, frames))
                links[1].append(1)
                if 0 < i < len(right):
                    links[0].append(_end(question, right[:i], frames))
                    links[1].append(0)
            others = [answer for answer in self.answers if answer != example.answer]
            for answer in [example.answer, *rng.permutation(others)[:wrong].tolist()]:
                answers[0].append(_answer(question, right, frames, answer))
                answers[1].append(int(answer == example.answer))
        self.links, self.replies = (
            make_pipeline(FeatureHasher(2**20), LinearSVC(C=c, max_iter=5000)).fit(*data) for data in (links, answers)
        )
        return self

    def predict(self, example, beams=BEAMS):
        """The answer, one of those of training."""
        question, frames = self._read(example)
        chain = self._search(question, frames, beams)
        scores = self.replies.decision_function([_answer(question, chain, frames, answer) for answer in self.answers])
        return self.answers[int(np.argmax(scores))]

    def _read(self, example):
        return roles([example.question])[0], roles(example.story)

    def _search(self, question, frames, beams):
        """The chain with the best sum of scores."""
        beam, whole = [(0.0, [])], []
        for _ in range(MOST):
            longer, features = [], []
            for score, chain in beam:
                for place in range(len(frames)):
                    if place not in chain and _shares(frames[place], question, frames, chain):
                        longer.append((score, [*chain, place]))
                        features.append(_link(question, chain, place, frames))
            if not longer:
                break
            scores = self.links.decision_function(features)
            ordered = sorted(((total + own, chain) for (total, chain), own in zip(longer, scores)), key=lambda pair: -pair[0])
            beam = ordered[:beams]
            ends = self.links.decision_function([_end(question, chain, frames) for _, chain in beam])
            whole += [(score + end, chain) for (score, chain), end in zip(beam, ends)]
        return max(whole, key=lambda pair: pair[0])[1] if whole else []


def _shares(frame, question, frames, chain):
    """Whether a fact has a word in common with the question or a fact of the chain."""
    known = {word for other in (question, *(frames[place] for place in chain)) for _, word in _content(other)}
    return any(word in known for _, word in _content(frame))


def structured_svm(train, test, c=0.1, beams=BEAMS):
    """Accuracy of a `StructuredSVM`; with one beam its search is greedy."""
    model = StructuredSVM().fit(train, c)
    return float(np.mean([model.predict(example, beams) == example.answer for example in test]))
