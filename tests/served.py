"""Models that the tests of the server ask, and how they ask them."""

import json

import tensorflow as tf

from zoo import serving


class Oddities(tf.Module):
    """What the signatures of methods rarely have: strings, several inputs, scalars, an error, one that grows."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "text")])
    def shout(self, text):
        return {"loud": tf.strings.upper(text), "raw_bytes": text}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.int32, "ids")])
    def look_up(self, ids):
        return {"value": tf.gather(tf.constant([10, 11, 12], tf.int64), ids)}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "a"), tf.TensorSpec((None,), tf.bool, "b")])
    def mix(self, a, b):
        return {"sum": tf.reduce_sum(a, 1), "not_b": tf.logical_not(b)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, "x")])
    def twice(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, "x")])
    def grow(self, x):
        return {"y": tf.tile(x, (1, 1000))}


def save_oddities(folder):
    """The module as version 7 of the model in `folder`."""
    odd = Oddities()
    names = ("shout", "look_up", "mix", "total", "twice", "grow")
    signatures = {name: getattr(odd, name) for name in names}
    tf.saved_model.save(odd, str(folder / "7"), signatures={**signatures, "serving_default": odd.twice})


def save_toy(folder):
    """A method of the zoo, exported; the model."""
    import toy

    model = toy.Toy(units=6)
    serving.export(model, folder)
    return model


def save_both(folder):
    """Both models in `folder`, for a server of several; the folder, and the method."""
    save_oddities(folder / "odd")
    return folder, save_toy(folder / "toy")


def ask(client, server, body, model="odd", **kwargs):
    """Status and JSON that answer a prediction; `client` is `requests` or a session of it."""
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    reply = client.post(f"{server.url}/v1/models/{model}:predict", data=data, **kwargs)
    assert reply.headers["Content-Type"] == "application/json"
    return reply.status_code, reply.json()
