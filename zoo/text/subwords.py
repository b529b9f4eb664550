"""Words in parts: byte-pair encoding, by the library tokenizers, from text to text: every method that reads words can read parts."""

import json

from zoo import arguments
from zoo.text.words import tokenize

# a letter to the tokenizer of words, so that a part stays one word, and one that texts do not have
CONTINUES = "ˍ"
_UNKNOWN = "[UNK]"


class Subwords:
    """Splits rare words into frequent parts (Sennrich, Haddow, Birch 2015, arXiv 1508.07909).

    A part that goes on with a word begins with a sign: `"walking"` may become `"walk ˍing"`. Learn the vocabulary of a method from texts
    that were split, give it such texts, and `join` what it writes:

    ```python
    parts = zoo.text.Subwords.learn(texts, 4000)
    vocabulary = zoo.text.learn_vocabulary(parts.split(texts))
    parts.join(parts.split(["The walking dead"]))  # ['the walking dead']
    ```

    Args:
        symbols: list of the parts.
        merges: list of pairs of parts that are joined, in order.

    Raises:
        ImportError: if tokenizers is not installed.
    """

    def __init__(self, symbols, merges):
        self.symbols, self.merges = list(symbols), [tuple(pair) for pair in merges]
        numbers = {symbol: i for i, symbol in enumerate(self.symbols)}
        numbers.setdefault(_UNKNOWN, len(numbers))
        self._tokenizer = _tokenizer(vocab=numbers, merges=self.merges)

    @classmethod
    def learn(cls, texts, size):
        """The parts of texts: all characters, and the most frequent longer ones, `size` together.

        Args:
            texts: list of strings; of pairs of languages that share letters, those of both.
            size: number of parts.

        Returns:
            A `Subwords`.

        Raises:
            ValueError: if an argument is none of these.
            ImportError: if tokenizers is not installed.
        """
        arguments.count("size", size)
        tokenizer = _tokenizer()
        trainer = _library().trainers.BpeTrainer(vocab_size=size, show_progress=False, continuing_subword_prefix=CONTINUES)
        tokenizer.train_from_iterator((" ".join(line) for line in tokenize(arguments.texts("texts", texts))), trainer)
        model = json.loads(tokenizer.to_str())["model"]
        return cls(sorted(model["vocab"], key=model["vocab"].get), model["merges"])

    def split(self, texts):
        """Texts in lower case, whose words are parts with spaces between them; a character that was never seen stays as it is.

        Args:
            texts: list of strings.

        Returns:
            List of strings.
        """
        lines = [" ".join(line) for line in tokenize(arguments.texts("texts", texts))]
        found = self._tokenizer.encode_batch(lines)
        return [" ".join(self._part(line, *piece) for piece in zip(one.tokens, one.offsets)) for line, one in zip(lines, found)]

    def _part(self, line, token, place):
        if token != _UNKNOWN:
            return token
        start, stop = place
        return (CONTINUES if start and line[start - 1] != " " else "") + line[start:stop]

    def join(self, texts):
        """Texts whose words are whole again, of texts of parts."""
        return [text.replace(f" {CONTINUES}", "").removeprefix(CONTINUES) for text in arguments.texts("texts", texts)]


def _tokenizer(**model):
    library = _library()
    found = library.Tokenizer(library.models.BPE(unk_token=_UNKNOWN, continuing_subword_prefix=CONTINUES, **model))
    found.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    return found


def _library():
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("Words in parts need tokenizers: pip install 'zoo-keras[text]'") from error
    return tokenizers
