"""Turkish sentences with parts of speech and dependencies: Google's Turkish treebanks of web texts and of Wikipedia."""

from zoo import files
from zoo.datasets.records import info
from zoo.datasets.treebank import Sentence, read_conllu

# what is called otherwise in `POS_TAGS`; proper nouns are told by their fine tag
_POS = {"CONJ": "CCONJ", "PRT": "PART", "ONOM": "INTJ", "AFFIX": "X"}
# parts of a word, which follow one another up to the one that heads them
_PART_OF_WORD = "ig"


def turkish_treebank(source="wiki"):
    """Turkish sentences (Kayadelen et al. 2020: "A gold standard dependency treebank for Turkish"), Apache-2.0.

    They come with the package turkish-treebanks. Words there are cut into inflectional groups; here they are whole, with the part of speech
    and the dependency of their last group.

    Args:
        source: `"wiki"` (2,310 sentences) or `"web"` (2,541).

    Returns:
        List of `Sentence`.

    Raises:
        ImportError: if turkish-treebanks is not installed.
    """
    if source not in ("wiki", "web"):
        raise ValueError(f"`source` must be 'wiki' or 'web'. Received: {source!r}")
    record = info("turkish_treebank")
    file = next(file for file in record.files if source in file.name)
    return [whole_words(sentence) for sentence in read_conllu(files.fetch(file, record))]


def whole_words(sentence):
    """A `Sentence` whose inflectional groups are joined to words."""
    # a group that depends as "ig" on the next one is the same word
    word_of, words = [], 0
    for i in range(len(sentence.words)):
        word_of.append(words)
        if not (sentence.relations[i] == _PART_OF_WORD and sentence.heads[i] == i + 1):
            words += 1
    last = [i for i, word in enumerate(word_of) if i + 1 == len(word_of) or word_of[i + 1] != word]
    joined = [""] * len(last)
    for i, word in enumerate(word_of):
        joined[word] += sentence.words[i]
    proper = {word for word, fine in zip(word_of, sentence.fine) if fine == "NNP"}
    pos = [_POS.get(sentence.pos[i], sentence.pos[i]) for i in last]
    heads = [sentence.heads[i] if sentence.heads[i] < 0 else word_of[sentence.heads[i]] for i in last]
    return Sentence(
        joined,
        ["PROPN" if word in proper and tag == "NOUN" else tag for word, tag in enumerate(pos)],
        [sentence.fine[i] for i in last],
        heads,
        [sentence.relations[i] for i in last],
    )
