"""Text to integers and back: words, vocabularies, and the layers that carry a vocabulary into an exported model."""

from zoo.text.augmentation import TransformedTexts as TransformedTexts
from zoo.text.augmentation import misspell as misspell
from zoo.text.augmentation import replace_synonyms as replace_synonyms
from zoo.text.characters import ALPHABET as ALPHABET
from zoo.text.characters import char_vectorization as char_vectorization
from zoo.text.chunks import Chunks as Chunks
from zoo.text.frequencies import alias_table as alias_table
from zoo.text.frequencies import count_words as count_words
from zoo.text.frequencies import keep_probabilities as keep_probabilities
from zoo.text.huffman import huffman_codes as huffman_codes
from zoo.text.tokens import CAPITALS as CAPITALS
from zoo.text.tokens import joined as joined
from zoo.text.tokens import name_lookup as name_lookup
from zoo.text.tokens import word_features as word_features
from zoo.text.tokens import word_lookup as word_lookup
from zoo.text.words import PADDING as PADDING
from zoo.text.words import UNKNOWN as UNKNOWN
from zoo.text.words import check_vocabulary as check_vocabulary
from zoo.text.words import checked_texts as checked_texts
from zoo.text.words import flat_ids as flat_ids
from zoo.text.words import learn_vocabulary as learn_vocabulary
from zoo.text.words import tokenize as tokenize
from zoo.text.words import with_ngrams as with_ngrams
from zoo.text.words import word_vectorization as word_vectorization
