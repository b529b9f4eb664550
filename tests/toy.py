"""A small method that obeys the contract, for the tests of the machinery."""

import keras

import zoo
from zoo import index


@keras.saving.register_keras_serializable("zoo")
class Toy(zoo.Model):
    """A dense classifier.

    Args:
        units: width of the hidden layer.
        num_classes: number of classes.
    """

    def __init__(self, units=4, num_classes=2, **kwargs):
        super().__init__(**kwargs)
        self.units, self.num_classes = units, num_classes
        x = keras.Input((3,), name="point")
        hidden = keras.layers.Dense(units, activation="elu", name="hidden")(x)
        self.network = keras.Model(x, keras.layers.Dense(num_classes, activation="softmax", dtype="float32", name="head")(hidden))
        self.compile()

    def call(self, x, training=False):
        return self.network(x, training=training)

    def input_fields(self):
        return [zoo.Field("point", (3,))]

    def target_fields(self):
        return [zoo.Field("label", (), "int32", 0, self.num_classes - 1)]

    def default_loss(self):
        return "sparse_categorical_crossentropy"

    @classmethod
    def example_config(cls):
        return {"units": 5}

    @classmethod
    def search_space(cls, hp):
        return {"units": hp.Int("units", 2, 8), **super().search_space(hp)}


def register():
    """Put the toy into the index of this process."""
    entry = index.Entry(0, "Toy", "toy", "Toy", "test", "No paper", "Nobody", 2015, "0000.00000", "A toy.")
    index.ENTRIES = (*[e for e in index.ENTRIES if e.name != "Toy"], entry)
    zoo.applications.Toy = Toy
