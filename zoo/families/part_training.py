"""The training of a part of a method by itself, such as a language model beside a translator."""

import keras
from keras import ops

from zoo import autodiff, text
from zoo.arguments import Callbacks, Count, Positive, Share, Texts, Verbose, checked
from zoo.families.encoder_decoder import EncoderDecoder
from zoo.layers.word_writer import WordWriter


class PartTraining(keras.Model):
    """A layer of a method that learns by a loss of its own; everything else stays as it is.

    Args:
        whole: the method.
        nats: function of inputs and `training` to minus the log-probabilities of words and ends, `(batch, length)`, 0 for padding.
        layer: name of the attribute that holds the layer; it does not learn otherwise.
    """

    def __init__(self, whole, nats, layer):
        super().__init__(name=f"{layer}_training")
        self.whole, self.nats, self.layer = whole, nats, layer
        self.built = True

    def learn(self, learning_rate, x, **options):
        """Train with Adam; gives the `History`."""
        parts = [layer for layer in self.whole.layers if layer.trainable]
        mine = getattr(self.whole, self.layer)
        try:
            for layer in parts:
                layer.trainable = False
            mine.trainable = True
            self.compile(keras.optimizers.Adam(learning_rate, global_clipnorm=1.0))
            return self.fit(x, **options)
        finally:
            mine.trainable = False
            for layer in parts:
                layer.trainable = True

    def call(self, x, training=False):
        """Minus the log-probabilities."""
        return self.nats(x, training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Their mean."""
        words = ops.sum(ops.cast(y_pred > 0, "float32"))
        return autodiff.per_replica(ops.sum(y_pred) / ops.maximum(words, 1.0))


class LanguageModelBeside(EncoderDecoder):
    """What methods share that have a language model of what they write beside their own network."""

    language_model: WordWriter

    @checked
    def fit_language_model(
        self,
        texts: Texts,
        epochs: Count = 10,
        batch_size: Count | None = None,
        learning_rate: Positive = 1e-3,
        validation_split: Share = 0.0,
        callbacks: Callbacks | None = None,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Train the language model on texts of the kind that is written; all else stays as it is.

        Args:
            texts: list of strings, each with a word or more, from anywhere.
            epochs: passes.
            batch_size: texts in a batch; `None` for the method's own.
            learning_rate: of Adam.
            validation_split: share of the texts, the last ones, to watch `val_loss` on.
            callbacks: of `keras.Model.fit`.
            verbose: of `keras.Model.fit`.

        Returns:
            The `History`; `loss` is the cross-entropy of a word in nats.
        """
        ids = text.trimmed(self._ids("texts", texts, self.target_vectorization))
        part = PartTraining(self, lambda x, training: self.language_model.nats(x, self.end, training), "language_model")
        options = {"batch_size": batch_size or self.default_batch_size, "epochs": epochs, "callbacks": callbacks, "verbose": verbose}
        return part.learn(learning_rate, ids, validation_split=validation_split, **options)
