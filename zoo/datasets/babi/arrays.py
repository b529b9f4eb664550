"""Stories as arrays for memory networks: words, vocabularies and their ids."""

import re

import numpy as np


def tokenize(sentence):
    """The words of a sentence in lower case, without punctuation."""
    return re.findall(r"[\w'-]+", sentence.lower())


def vocabulary(examples, split=False):
    """All words of `examples`, sorted; an answer of several words ("apple,milk") is one entry, unless `split`.

    Word number i of the list has the id i + 1; the id 0 is padding.
    """
    words = {word for example in examples for word in (example.answer.lower().split(",") if split else [example.answer.lower()])}
    sentences = {s for example in examples for s in (*example.story, example.question)}
    return sorted(words.union(*map(tokenize, sentences)))


def ngrams(examples, longest=3):
    """All runs of two to `longest` words in the sentences of `examples`, sorted, words separated by spaces."""
    found = set()
    for sentence in {s for example in examples for s in (*example.story, example.question)}:
        words = tokenize(sentence)
        found.update(" ".join(words[i : i + n]) for n in range(2, longest + 1) for i in range(len(words) - n + 1))
    return sorted(found)


def encode_sentence(sentence, ids, length, unknown=None):
    """The ids of the words of `sentence`, padded with 0 to `length`.

    Args:
        sentence: text.
        ids: dict from word to id.
        length: number of words to pad to.
        unknown: word that stands for those that `ids` does not have; `None` refuses them.

    Raises:
        ValueError: if a word is unknown or there are more words than `length`.
    """
    words = [w if w in ids or unknown is None else unknown for w in tokenize(sentence)]
    missing = [w for w in words if w not in ids]
    if missing:
        raise ValueError(f"`sentence` must use words of the vocabulary. Received: unknown {missing} in {sentence!r}")
    if len(words) > length:
        raise ValueError(f"`sentence` must have at most {length} words. Received: {len(words)} in {sentence!r}")
    return [ids[w] for w in words] + [0] * (length - len(words))


def vectorise(examples, vocabulary, memory_size=50, sentence_length=11):
    """Arrays for a memory network.

    Args:
        examples: list of `Example`.
        vocabulary: list of words, as `vocabulary` gives it.
        memory_size: sentences kept of a story, the last ones.
        sentence_length: words of a sentence.

    Returns:
        `x, y`: `x["story"]` (n, memory_size, sentence_length) int32 with the latest sentence first, `x["question"]`
        (n, sentence_length) int32, `y` (n,) int32 ids of the answers. Padding is 0.

    Raises:
        ValueError: if a word is unknown or a sentence is too long.
    """
    ids = {word: number for number, word in enumerate(vocabulary, start=1)}
    missing = sorted({e.answer.lower() for e in examples} - set(ids))
    if missing:
        raise ValueError(f"`vocabulary` must hold every answer. Received: none of {missing}")
    texts = {s for e in examples for s in (*e.story[-memory_size:], e.question)}
    rows = {text: encode_sentence(text, ids, sentence_length) for text in texts}
    story = np.zeros((len(examples), memory_size, sentence_length), "int32")
    for array, example in zip(story, examples):
        kept = example.story[-memory_size:]
        if kept:
            array[: len(kept)] = [rows[s] for s in reversed(kept)]
    question = np.array([rows[e.question] for e in examples], "int32")
    return {"story": story, "question": question}, np.array([ids[e.answer.lower()] for e in examples], "int32")
