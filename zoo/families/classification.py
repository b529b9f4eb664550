"""What classifiers of images of one size share."""

from zoo.model import Field, Model


class Classification(Model):
    """Image `(batch, height, width, channels)` -> probabilities `(batch, num_classes)`.

    A method sets `input_shape`, the shape of an image, `num_classes`, and `network`, or overrides `call`.
    """

    output_name = "probabilities"

    def call(self, x, training=False):
        """Probabilities `(batch, num_classes)` of images."""
        return self.network(x, training=training)

    def input_fields(self):
        """An image."""
        return [Field("image", tuple(self.input_shape))]

    def target_fields(self):
        """Its class."""
        return [Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_loss(self):
        """Cross-entropy."""
        return "sparse_categorical_crossentropy"

    def default_metrics(self):
        """Accuracy."""
        return ["accuracy"]
