"""Conversations with an intention: a network that moves once a turn and carries what the conversation is about from reply to reply.

Paper: Yao, Zweig, Peng 2015, "Attention with Intention for a Neural Network Conversation Model", arXiv 1510.08565. Three recurrent networks
share the work. The encoder reads the other's turn, word by word, from the state in which the decoder stopped one turn ago. The intention
network takes what the encoder ends in, and that state of the decoder, and moves once: its state says how far the conversation has come,
from the problem over its solution to goodbye. The decoder writes the reply from it; at every word it sees the intention, and looks at the
words of the turn.

Shapes: word ids `source` `(batch, turns, length)`, turns in their order of which the last is answered and those before it alternate, and
`target` `(batch, length)` -> log-probability of the reply `(batch,)`, in nats.

Differences from the paper:
1. A row of `fit` has `exchanges` messages and replies, all of which are learned; what was said before them is forgotten.
2. The decoder starts from a dense layer of the intention, one for each of its states.
3. Adam in place of AdaDelta; dropout on what the layers read.
4. Default sizes are those that a laptop trains. `intention=False` leaves the intention network out, and with it all turns but the last:
   the comparison that the paper does not make.
5. Equations are from memory; attention asks with the decoder's last state.
"""

import keras
from keras import layers, ops

from zoo import arguments, text
from zoo.arguments import TextLists, checked
from zoo.families.responder import Responder
from zoo.layers.attention import SCORINGS
from zoo.layers.recurrent_decoder import RecurrentDecoder
from zoo.layers.recurrent_encoder import CELLS, RecurrentEncoder
from zoo.layers.word_softmax import WordSoftmax
from zoo.model import Field


class AttentionWithIntention(Responder):
    """Conversations to replies by encoder, intention network and decoder (Yao et al. 2015, arXiv 1510.08565).

    Args:
        vocabulary: list of words, such as `zoo.text.learn_vocabulary(texts, 20000)` gives.
        exchanges: messages that are read, each but the last with its reply.
        source_length: words read of a turn.
        target_length: words written at most.
        embedding_size: length of a word vector.
        units: cells of each layer of encoder and decoder.
        num_layers: layers on one another, in encoder and decoder each.
        cell: `"lstm"`, `"gru"` or `"rnn"`, of encoder and decoder.
        intention_units: of the intention network, a simple recurrent one.
        intention: whether there is such a network.
        attention: how the words of the last turn are looked at, see `zoo.layers.Attention`.
        dropout: rate on what each layer reads, in training.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    default_batch_size = 8

    def __init__(
        self,
        vocabulary,
        exchanges=4,
        source_length=30,
        target_length=30,
        embedding_size=128,
        units=128,
        num_layers=1,
        cell="lstm",
        intention_units=128,
        intention=True,
        attention="general",
        dropout=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.count("exchanges", exchanges)
        arguments.one_of("cell", cell, tuple(CELLS))
        arguments.one_of("attention", attention, SCORINGS)
        arguments.count("intention_units", intention_units)
        arguments.flag("intention", intention)
        self.vocabulary, self.exchanges, self.source_length, self.target_length = vocabulary, exchanges, source_length, target_length
        self.embedding_size, self.units, self.num_layers, self.cell = embedding_size, units, num_layers, cell
        self.intention_units, self.intention, self.attention, self.dropout = intention_units, intention, attention, dropout
        self._build_words()
        sizes = {"embedding_size": embedding_size, "units": units, "num_layers": num_layers, "cell": cell, "dropout": dropout}
        self.encoder = RecurrentEncoder(self.end, **sizes, name="encoder")
        looks = {"memory_dim": units, "attention": attention, "feed_context": True, "constant_dim": intention_units if intention else 0}
        self.decoder = RecurrentDecoder(self.end + 1, **sizes, **looks, name="decoder")
        if intention:
            self.intention_network = _Intention(units, intention_units, len(self.decoder.zero_state(1)), name="intention_network")
        self.word_softmax = WordSoftmax(self.end + 1, self.decoder.width, name="word_softmax")
        self.compile()

    # --- the network ---

    def _symbols(self):
        return self.vocabulary, self.vocabulary

    def _reading(self, words):
        return text.word_vectorization(words, self.source_length)

    @property
    def _turns(self):
        """All turns of a row but the reply."""
        return 2 * self.exchanges - 1

    def _source_ids(self, texts):
        ids = self.source_vectorization(text.split_turns(texts, self._turns))
        return ops.reshape(ids, (-1, self._turns, self.source_length))

    def _looked_at(self, source):
        return source[:, -1]

    def input_fields(self):
        """Ids of turns, empty ones first, and of the reply, 0 for padding on the right; `encode` makes them."""
        source = Field("source", (self._turns, None), "int32", 0, self.end - 1, (self.source_length,))
        return [source, super().input_fields()[1]]

    def _nats(self, x, training=False):
        """Minus the log-probabilities of the reply's words; in training the replies before it count as much, word by word."""
        source = ops.cast(x["source"], "int32")
        intention, last, nats = self._before(source, training)
        if training and nats:
            words = ops.sum(1.0 + ops.sum(ops.cast(x["target"] != text.PADDING, "float32"), axis=1))
            self.add_loss(sum(ops.sum(part) for part in nats) / words)
        return self._nats_after(self._hear(source[:, -1], intention, last, training)[:2], x, training)

    def _read(self, source, training=False):
        source = ops.cast(source, "int32")
        return self._hear(source[:, -1], *self._before(source, training)[:2], training)[:2]

    def _before(self, source, training=False):
        """All turns but the last: the intention and the decoder's states behind them, and minus the log-probabilities of their replies."""
        batch = ops.shape(source)[0]
        intention, last, nats = ops.zeros((batch, self.intention_units), self.compute_dtype), self.decoder.zero_state(batch), []
        if not self.intention and not training:
            return intention, last, nats
        for i in range(self.exchanges - 1):
            message, reply = source[:, 2 * i], source[:, 2 * i + 1]
            state, stays, moved = self._hear(message, intention, last, training)
            before = ops.pad(reply, ((0, 0), (1, 0)), constant_values=self.end)
            features, after = self.decoder.read(before, state, **stays, training=training)
            heard, answered = (ops.any(ids > 0, axis=1, keepdims=True) for ids in (message, reply))
            nats.append(self.word_softmax(features, text.with_end(reply, self.end), training=training) * ops.cast(answered, "float32"))
            # turns that nobody spoke move nothing
            spoken = heard | answered
            intention = ops.where(spoken, moved, intention)
            last = [ops.where(spoken, new, old) for new, old in zip(after, last)]
        return intention, last, nats

    def _hear(self, message, intention, last, training=False):
        """A message: the decoder's first state, what stays while it writes, and the intention that moved."""
        memory, states, present = self.encoder(message, last if self.intention else None, training=training)
        stays = {"memory": memory, "present": present}
        if not self.intention:
            return states, stays, intention
        top = -self.encoder.states_per_layer
        moved, start = self.intention_network(states[top], last[top], intention)
        return start, {**stays, "constant": moved}, moved

    def default_optimizer(self):
        """Adam; gradients whose norm is above 1 are scaled down to it."""
        return keras.optimizers.Adam(2e-3, global_clipnorm=1.0)

    @checked
    def fit_rows(self, conversations: TextLists) -> dict:
        """The ids that `fit` takes, of whole conversations.

        Args:
            conversations: list of lists of turns, of which every second one is a reply; longer ones are cut into rows of `exchanges`.

        Returns:
            As `encode`.

        Raises:
            ValueError: if a conversation has no reply.
        """
        sources, targets = text.rows_of_exchanges(conversations, self.exchanges)
        spoken = [i for i, (turns, reply) in enumerate(zip(sources, targets)) if turns[-1].strip() and reply.strip()]
        return self.encode([sources[i] for i in spoken], [targets[i] for i in spoken])

    @classmethod
    def example_config(cls):
        """A few words and units."""
        return {
            "vocabulary": ["the", "cat", "sat", "on", "a", "mat", ","],
            "exchanges": 2,
            "source_length": 6,
            "target_length": 5,
            "embedding_size": 5,
            "units": 4,
            "num_layers": 2,
            "cell": "gru",
            "intention_units": 3,
            "intention": True,
            "attention": "additive",
            "dropout": 0.1,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        return {**super().example_calls(), "fit_rows": {"conversations": [["a cat", "the mat", "sat", "cat"]]}}

    @classmethod
    def search_space(cls, hp):
        """Sizes, cell, dropout and learning rate."""
        return {
            "cell": hp.Choice("cell", ["lstm", "gru"]),
            "units": hp.Choice("units", [64, 128, 256, 512]),
            "intention_units": hp.Choice("intention_units", [64, 128, 256]),
            "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
            "learning_rate": hp.Float("learning_rate", 3e-4, 5e-3, sampling="log"),
        }


class _Intention(layers.Layer):
    """A recurrent network that moves once a turn, and the decoder's first states."""

    def __init__(self, units, intention_units, states, **kwargs):
        super().__init__(**kwargs)
        self.move = layers.Dense(intention_units, "tanh", name="move")
        self.move.build((None, 2 * units + intention_units))
        self.starts = [layers.Dense(units, "tanh", name=f"start_{i}") for i in range(states)]
        for layer in self.starts:
            layer.build((None, intention_units))
        self.built = True

    def call(self, heard, written, intention):
        """The encoder's state, the decoder's one turn ago, and the intention so far -> the intention, and a list of states."""
        moved = self.move(ops.concatenate([heard, written, intention], axis=-1))
        return moved, [start(moved) for start in self.starts]
