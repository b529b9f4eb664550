"""A neural conversational model: a network that reads what was said and writes the reply, word by word, learned from conversations alone.

Paper: Vinyals, Le 2015, "A Neural Conversational Model", arXiv 1506.05869. Stacked LSTMs read the turns so far as one text, others write
the reply from the state they end in. There are no rules and no slots; a help desk and a chat differ in their data alone.

Shapes: word ids `source` `(batch, length)`, turns with `<turn>` between them, and `target` `(batch, length)` -> log-probability of the
reply `(batch,)`, in nats.

Differences from the paper:
1. Adam in place of gradient descent (help desk) and AdaGrad (subtitles); dropout on what the layers read.
2. Default sizes are those that a laptop trains: the paper has `units=1024` for its help desk, with 20,000 words, and
   `units=4096, num_layers=2, projection=2048` for subtitles, with 100,000.
3. `attention`, which did not help the authors (section 4.2), is an option.
4. Replies are written by a beam; the paper's samples are greedy.
"""

import keras

from zoo import arguments
from zoo.families.responder import Responder
from zoo.layers.attention import SCORINGS


class NeuralConversationalModel(Responder):
    """Conversations to replies by stacked LSTMs (Vinyals and Le 2015, arXiv 1506.05869).

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts, 20000)` gives.
        turns: so many of the last turns are read.
        source_length: words read of them, the last ones.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: cells of each layer.
        num_layers: layers on one another, in reader and writer each.
        projection: length of a linear layer between the last LSTM and the softmax; `None` for none.
        attention: how the words of the conversation are looked at, see `zoo.layers.Attention`; `None` for not at all.
        dropout: rate on what each layer reads, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    default_batch_size = 64
    _attention_argument = "attention"

    def __init__(
        self,
        vocabulary,
        turns=1,
        source_length=50,
        target_length=30,
        embedding_size=128,
        units=128,
        num_layers=1,
        projection=None,
        attention=None,
        dropout=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("attention", attention, (None, *SCORINGS))
        if projection is not None:
            arguments.count("projection", projection)
        self.vocabulary, self.turns, self.source_length, self.target_length = vocabulary, turns, source_length, target_length
        self.embedding_size, self.units, self.num_layers, self.projection = embedding_size, units, num_layers, projection
        self.attention, self.dropout = attention, dropout
        self._build_network(**({"readout": "linear", "readout_dim": projection} if projection else {}))
        self.compile()

    def default_optimizer(self):
        """Adam; gradients whose norm is above 5 are scaled down to it."""
        return keras.optimizers.Adam(1e-3, global_clipnorm=5.0)

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "turns": 2,
            "source_length": 6,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "projection": 3,
            "attention": "general",
            "dropout": 0.1,
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, layers, dropout and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [64, 128, 256]),
            "units": hp.Choice("units", [64, 128, 256, 512]),
            "num_layers": hp.Int("num_layers", 1, 2),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 5e-3, sampling="log"),
        }
