"""Neural style: paints the content of one image in the style of another, by changing pixels until a network sees both.

Paper: Gatys, Ecker, Bethge 2015, "A Neural Algorithm of Artistic Style", arXiv 1508.06576.

Shapes: images are `(height, width, 3)`, RGB in [0, 1], of any size; content and style need not have the same one. As a model,
`(batch, height, width, 3)` -> dict of content features `(batch, h, w, channels)` and Gram matrices `(batch, channels, channels)`.

Differences from the paper:
1. Gram matrices are means over positions, so that images of different sizes compare; for equal sizes the loss is the paper's (equation 4).
2. Pixels are kept in [0, 1] during the search (`bounded=False` is the paper's free search, whose result is cut to [0, 1]).
3. The paper writes of gradient descent; L-BFGS, the default here, is what the authors' code uses.
4. Several style images, the content's colours, and unit mean activations (from the authors' texture paper, arXiv 1505.07376) are additions.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff, trunks
from zoo.arguments import Amount, Callbacks, Count, Flag, Index, Inputs, Numbers, Texts, Verbose, checked
from zoo.callbacks.callback_loop import CallbackLoop
from zoo.fields import SizedField
from zoo.losses.gram import content_loss, gram_matrix, style_loss
from zoo.model import Field, Model
from zoo.optimizers.minimize import minimize

VGG19 = "vgg19_imagenet"
# of ImageNet: blue, green, red
MEAN = (103.939, 116.779, 123.68)
# standard deviation of white noise, of which the paper says no more
NOISE = 0.1
LUMINANCE = np.array([0.299, 0.587, 0.114], "float32")


class NeuralStyle(Model):
    """The loss network, of VGG's shape, and the search for an image; `stylize(content, style)` paints.

    The defaults are the paper's and belong to `trunk="vgg19"`, which is `NeuralStyle.from_pretrained("vgg19_imagenet")`. Without a trunk
    the network has random weights. Weights are frozen: `fit` changes an image, not the network.

    Args:
        blocks: channels of the 3 x 3 convolutions of each block; layers are called `"conv1_1"` (block, place in it) and so on.
        pooling: between blocks, `"average"` (the paper's) or `"max"` (VGG's own).
        content_layers: names of the layers whose features are matched.
        style_layers: names of the layers whose Gram matrices are matched.
        content_weights: one weight a content layer; `None` means equal ones that sum to 1.
        style_weights: one weight a style layer (w_l of equation 5); `None` means equal ones that sum to 1.
        alpha: weight of the content loss.
        beta: weight of the style loss; the paper's ratio `alpha / beta` is 1e-3 or 1e-4.
        mean: what is subtracted from the channels in the order blue, green, red, in the range 0 .. 255 (that of ImageNet).
        std: what they are divided by then.
        trunk: `"vgg19"` or `"vgg16"` gives its weights to `blocks`, which must be those of `zoo.trunks.VGG`. Any other name of
            `zoo.trunks.names()` takes the place of the whole network; its layers are then called `"stride_2"`, `"stride_4"` and so on.
        trunk_weights: `"imagenet"`, the path of a weights file, or `None`; see `zoo.trunks.trunk`.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Attributes:
        image: the image found so far, `(height, width, 3)` in [0, 1], or `None` before the first `fit`.
    """

    def __init__(
        self,
        blocks=((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
        pooling="average",
        content_layers=("conv4_2",),
        style_layers=("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        content_weights=None,
        style_weights=None,
        alpha=1.0,
        beta=1000.0,
        mean=MEAN,
        std=(1.0, 1.0, 1.0),
        trunk=None,
        trunk_weights="imagenet",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if pooling not in ("average", "max"):
            raise ValueError(f"`pooling` must be 'average' or 'max'. Received: {pooling!r}")
        if not blocks or not all(block and all(isinstance(n, int) and n > 0 for n in block) for block in blocks):
            raise ValueError(f"`blocks` must hold whole numbers of channels, at least one a block. Received: {blocks}")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"`mean` and `std` must hold three numbers (blue, green, red), `std` positive. Received: {mean}, {std}")
        if not (0 <= alpha < np.inf and 0 <= beta < np.inf and alpha + beta > 0):
            raise ValueError(f"`alpha` and `beta` must be finite, not negative, and not both 0. Received: {alpha}, {beta}")
        self.blocks, self.pooling, self.mean, self.std = blocks, pooling, mean, std
        self.content_layers, self.style_layers = content_layers, style_layers
        self.content_weights, self.style_weights = content_weights, style_weights
        self.alpha, self.beta = alpha, beta
        self.trunk, self.trunk_weights = trunk, trunk_weights
        self.layer_names = self._all_layers()
        self._weighted("content", content_layers, content_weights)
        self._weighted("style", style_layers, style_weights)
        self.network = self._build_network() if self._is_vgg else trunks.trunk(trunk, trunk_weights, self.layer_names)
        if trunk in trunks.VGG and trunks.wanted(trunk_weights) is not None:
            self.copy_convolutions(trunks.trunk(trunk, trunk_weights))
        self.network.trainable = False
        self._found = self._colors = None
        self.compile()

    @property
    def _is_vgg(self):
        """Whether the network is `blocks`, with whatever weights."""
        return self.trunk in (None, *trunks.VGG)

    def _all_layers(self):
        """Names of the layers that can be matched."""
        if self.trunk is not None:
            trunks.check(self.trunk, self.trunk_weights, argument="trunk")
        if not self._is_vgg:
            return tuple(f"stride_{n}" for n in trunks.ends(self.trunk))
        blocks = tuple(map(tuple, self.blocks))
        if self.trunk is not None and (blocks, tuple(self.mean), tuple(self.std)) != (trunks.VGG[self.trunk], MEAN, (1.0,) * 3):
            raise ValueError(
                f"`blocks` must be {trunks.VGG[self.trunk]} with the trunk {self.trunk!r}, `mean` {MEAN} and `std` ones. "
                f"Received: {blocks}, {self.mean}, {self.std}"
            )
        return tuple(f"conv{b}_{i}" for b, block in enumerate(blocks, 1) for i in range(1, len(block) + 1))

    def _build_network(self):
        """The convolutions of VGG (section "Methods"); gives the activations of all of them, by name."""
        image = keras.Input((None, None, 3), name="image")
        x = (255.0 * ops.flip(image, axis=-1) - np.array(self.mean, "float32")) / np.array(self.std, "float32")
        found = {}
        pool = layers.AveragePooling2D if self.pooling == "average" else layers.MaxPooling2D
        for b, block in enumerate(self.blocks, 1):
            for i, channels in enumerate(block, 1):
                name = f"conv{b}_{i}"
                layer = layers.Conv2D(channels, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name)
                x = found[name] = layer(x)
            if b < len(self.blocks):
                x = pool(2, name=f"pool{b}")(x)
        return keras.Model(image, found)

    def call(self, x, training=False):
        """What the losses compare: `features_<layer>` and `gram_<layer>`, float32, of images `(batch, height, width, 3)`."""
        features, grams = self._describe(x, self.content_layers, self.style_layers)
        return {**{f"features_{name}": v for name, v in features.items()}, **{f"gram_{name}": v for name, v in grams.items()}}

    def _describe(self, x, content, style):
        found = self.network(x)
        return {name: ops.cast(found[name], "float32") for name in content}, {name: gram_matrix(found[name]) for name in style}

    # --- weights ---

    @classmethod
    def from_pretrained(cls, preset, load_weights=True, **overrides):
        """`zoo.Model.from_pretrained`, which also knows `"vgg19_imagenet"`: the paper's network, from `keras.applications`.

        Args:
            preset: `"vgg19_imagenet"` (80 MB, downloaded once), or as for all methods.
            load_weights: `False` gives the architecture alone.
            **overrides: constructor arguments to change.

        Returns:
            A compiled model.

        Raises:
            ConnectionError: if the weights of VGG19 cannot be downloaded.
            ValueError: if the preset is unknown or damaged, or does not fit.
        """
        if preset != VGG19:
            return super().from_pretrained(preset, load_weights=load_weights, **overrides)
        return cls(**{"trunk": "vgg19", "trunk_weights": "imagenet" if load_weights else None, **overrides})

    def copy_convolutions(self, model):
        """Take the weights of the convolutions of another model, in its order, such as a VGG of `keras.applications`.

        Args:
            model: a Keras model on channels in the order blue, green, red in the range 0 .. 255, less `mean` and divided by `std`.

        Raises:
            ValueError: if its convolutions have other shapes.
        """
        arguments.instance("model", model, keras.Model)
        trunks.copy_convolutions(model, self._convolutions("copy_convolutions"))

    def _convolutions(self, verb):
        if not self._is_vgg:
            raise ValueError(f"`trunk` must be None, 'vgg16' or 'vgg19' for `{verb}`. Received: {self.trunk!r}")
        return [self.network.get_layer(name) for name in self.layer_names]

    @checked
    def normalize(self, images: Inputs):
        """Rescale the filters so that each has a mean activation of 1 over `images`, which gives all layers a say (arXiv 1505.07376).

        What the network computes stays the same up to the scale of each filter's output. Filters that hardly fire, with less than a
        tenth of their layer's mean activation, are divided by that tenth; else their rare activations would drown all others.

        Args:
            images: `(n, height, width, 3)` in [0, 1].
        """
        convolutions, before = self._convolutions("normalize"), np.ones(3)
        found = self.network.predict(images, verbose=0, batch_size=16)
        for name, layer in zip(self.layer_names, convolutions):
            mean = found[name].mean((0, 1, 2), dtype="float64")
            mean = np.maximum(mean, 0.1 * mean.mean() or 1.0)
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * before[:, None] / mean, bias / mean])
            before = mean

    # --- what it takes ---

    def input_fields(self):
        """An RGB image in [0, 1]."""
        side = self._least_side
        return [SizedField("image", (None, None, 3), low=0.0, high=1.0, example=(max(side, 16), max(side, 16) + 4), least=side)]

    @property
    def _least_side(self):
        return 2 ** (len(self.blocks) - 1) if self._is_vgg else trunks.ends(self.trunk)[-1]

    def _check_side(self, name, size):
        if min(size) < self._least_side:
            raise ValueError(f"`{name}` must have sides of at least {self._least_side} pixels. Received: {size[0]} x {size[1]}")

    def _checked(self, name, image):
        image = arguments.as_array(name, image)
        Field(name, (None, None, 3), low=0.0, high=1.0).check(image[None])
        self._check_side(name, image.shape[:2])
        return image.astype("float32")

    def _weighted(self, kind, names, weights):
        """Layer -> weight, checked."""
        if not names or isinstance(names, str) or len(set(names)) < len(names) or not set(names) <= set(self.layer_names):
            raise ValueError(f"`{kind}_layers` must be distinct names out of {self.layer_names}. Received: {names!r}")
        weights = [1 / len(names)] * len(names) if weights is None else weights
        if len(weights) != len(names) or min(weights) < 0:
            raise ValueError(f"`{kind}_weights` must be {len(names)} numbers, one a layer, not negative. Received: {weights}")
        return {name: np.float32(weight) for name, weight in zip(names, weights)}

    # --- the losses ---

    def compile(self, *args, **kwargs):
        """As `zoo.Model.compile`. There is no other loss than the paper's, and there are no metrics.

        Adam wants a rate near 0.02 here, since pixels lie between 0 and 1.
        """
        super().compile(*args, **kwargs)
        if not self._auto_loss or self._compile_arguments["metrics"] not in ("auto", None):
            raise ValueError("`loss` and `metrics` must be 'auto': the losses of content and style are the method. Received: others")
        jit_compile = bool(self.jit_compile)
        self._run_targets = autodiff.compiled(self._describe_one, self.network, jit_compile)
        self._run_losses = autodiff.compiled(self._compare, self.network, jit_compile)
        self._run_gradient = autodiff.compiled(self._differentiate, self.network, jit_compile)

    def default_optimizer(self):
        """`None`, which stands for SciPy's L-BFGS; a Keras optimizer in `compile` replaces it."""
        return None

    def _describe_one(self, image, weights):
        """Features and Gram matrices of the layers that are the keys of `weights`."""
        return self._describe(image[None], *weights)

    def _compare(self, image, targets, weights):
        """Content loss and style loss, `(2,)` (equations 1 and 5)."""
        features, grams = self._describe_one(image, weights)
        content = sum(w * content_loss(features[name], targets[0][name])[0] for name, w in weights[0].items())
        style = sum(w * style_loss(grams[name], targets[1][name])[0] for name, w in weights[1].items())
        return ops.stack([ops.convert_to_tensor(loss, "float32") for loss in (content, style)])

    def _differentiate(self, image, targets, weights, factors):
        """The losses, and the gradient of their sum weighted by `factors` (equation 7)."""
        return autodiff.vjp(lambda x: self._compare(x, targets, weights), image, factors)

    # --- the search ---

    @checked
    def fit(  # type: ignore[override]
        self,
        content=None,
        style=None,
        steps: Count = 500,
        init="noise",
        size: Numbers | None = None,
        style_blend: Numbers | None = None,
        keep_colors: Flag = False,
        content_layers: Texts | None = None,
        style_layers: Texts | None = None,
        bounded: Flag = True,
        tolerance: Amount = 0.0,
        seed: Index | None = None,
        callbacks: Callbacks | None = None,
        log_every: Count = 10,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Search the image with the content of `content` and the style of `style` (equation 7); afterwards it is `image`.

        Without `content` a texture like `style` is synthesised, without `style` the content is reconstructed (figure 1).

        Args:
            content: `(height, width, 3)`, RGB in [0, 1]; the result has its size.
            style: the same, of any size, or a list of several.
            steps: evaluations of the loss and its gradient.
            init: `"noise"` (normal around the colour `mean`), `"content"`, `"style"` (scaled to the result's size), or an image.
            size: `(height, width)` of the result where there is no content; `None` means the (first) style's.
            style_blend: shares of several styles; `None` means equal ones.
            keep_colors: whether only the lightness is painted and `content` gives the colours.
            content_layers: layers to use instead of the constructor's, with equal weights.
            style_layers: layers to use instead of the constructor's, with equal weights.
            bounded: whether pixels stay in [0, 1] during the search.
            tolerance: end when the loss falls by less than this share of it.
            seed: of the noise.
            callbacks: Keras callbacks; an epoch is `log_every` steps, a batch one step.
            log_every: steps in an epoch.
            verbose: 0 is silent, 1 a progress bar, 2 a line an epoch.

        Returns:
            A Keras `History` with `loss`, `content_loss` and `style_loss` (before alpha and beta), and `steps`. L-BFGS reports the best
            image so far, other optimizers the present one.

        Raises:
            ValueError: if an argument cannot be.
        """
        verbose = 1 if verbose == "auto" else verbose
        if isinstance(init, str):
            arguments.one_of("init", init, ("noise", "content", "style"))
        content, styles, colors = self._read(content, style, keep_colors)
        weights = self._weights_of(content, styles, content_layers, style_layers)
        objective = _Objective(self, self._all_targets(content, styles, style_blend, weights), weights)
        x = self._first(init, content, styles, size, seed)
        self._found, self._colors = x, colors
        compiled = self.optimizer  # type: ignore[has-type]
        loop = CallbackLoop(self, [*self._callbacks, *(callbacks or [])], steps, log_every, verbose)

        def advance(step, x, logs):
            self._found = x
            return loop.advance(logs)

        try:
            # a copy, since an optimizer's state belongs to one array; callbacks see it
            self.optimizer = _copy(compiled)
            with loop:
                bounds = (0.0, 1.0) if bounded else None
                found = minimize(objective, x, steps, self.optimizer, bounds, 10, tolerance, advance, verbose == 1)
            self._found = found.x
        finally:
            self.optimizer = compiled
        return self.history

    @property
    def image(self):
        """The image of the last `fit` so far."""
        if self._found is None:
            return None
        image = ops.convert_to_numpy(self._found)
        if self._colors is not None:
            # in YIQ, changing the lightness Y alone adds the same to red, green and blue
            image = self._colors + ((image - self._colors) @ LUMINANCE)[..., None]
        return np.clip(image, 0.0, 1.0)

    @checked
    def evaluate(self, image, content=None, style=None, style_blend: Numbers | None = None) -> dict[str, float]:  # type: ignore[override]
        """The losses of an image.

        Args:
            image: `(height, width, 3)`, RGB in [0, 1], of the size of `content`.
            content: as in `fit`.
            style: as in `fit`.
            style_blend: as in `fit`.

        Returns:
            Dict of `loss`, `content_loss` and `style_loss`.
        """
        content, styles, _ = self._read(content, style, False)
        image = self._checked("image", image)
        if content is not None and image.shape != content.shape:
            raise ValueError(f"`image` must have the size of `content`, {content.shape}. Received: {image.shape}")
        weights = self._weights_of(content, styles, None, None)
        losses = self._run_losses(image, self._all_targets(content, styles, style_blend, weights), weights)
        content_value, style_value = (float(loss) for loss in ops.convert_to_numpy(losses))
        return {"loss": self.alpha * content_value + self.beta * style_value, "content_loss": content_value, "style_loss": style_value}

    def _read(self, content, style, keep_colors):
        """Content, list of styles, and the image whose colours are kept, checked."""
        content = None if content is None else self._checked("content", content)
        styles = [] if style is None else [self._checked("style", image) for image in _listed(style)]
        if not keep_colors:
            return content, styles, None
        if content is None:
            raise ValueError("`content` must be given with `keep_colors`. Received: None")
        grey = _grey(content)
        return grey, [_as_light_as(_grey(image), grey) for image in styles], content

    def _weights_of(self, content, styles, content_layers, style_layers):
        """The layers that are matched, with their weights: a dict for the content, a dict for the style."""
        of_content = (self.content_layers, self.content_weights) if content_layers is None else (content_layers, None)
        of_style = (self.style_layers, self.style_weights) if style_layers is None else (style_layers, None)
        weights = (
            self._weighted("content", *of_content) if content is not None and self.alpha else {},
            self._weighted("style", *of_style) if styles and self.beta else {},
        )
        if not any(weights):
            raise ValueError(
                "`content` or `style` must be given, and have a weight (`alpha`, `beta`). "
                f"Received: content {'no' if content is None else 'yes'}, style {'yes' if styles else 'no'}, {self.alpha}, {self.beta}"
            )
        return weights

    def _all_targets(self, content, styles, blend, weights):
        """Features of the content, and the mean of the styles' Gram matrices."""
        shares = np.ones(len(styles)) if blend is None else np.asarray(blend, "float64")
        if shares.shape != (len(styles),) or (len(styles) and (shares.min() < 0 or shares.sum() <= 0)):
            raise ValueError(f"`style_blend` must be {len(styles)} numbers, one a style, not negative, not all 0. Received: {blend}")
        features = self._run_targets(content, (weights[0], {}))[0] if weights[0] else {}
        each = [self._run_targets(image, ({}, weights[1]))[1] for image in styles] if weights[1] else []
        shares = (shares / max(shares.sum(), 1e-30)).astype("float32")
        return features, {name: sum(share * grams[name] for share, grams in zip(shares, each)) for name in weights[1]}

    def _first(self, init, content, styles, size, seed):
        """Where the search starts."""
        if content is not None and size is not None and tuple(np.ravel(size)) != content.shape[:2]:
            raise ValueError(f"`size` must be None or that of `content`, {content.shape[:2]}. Received: {size}")
        if size is not None:
            size = tuple(arguments.count("size", side) for side in arguments.numbers("size", size, rank=1))
            if len(size) != 2:
                arguments.refuse("size", "(height, width)", size)
        shape = content.shape[:2] if content is not None else styles[0].shape[:2] if size is None else size
        self._check_side("size", shape)
        if not isinstance(init, str):
            image = self._checked("init", init)
            if image.shape[:2] != shape:
                raise ValueError(f"`init` must have the size of the result, {shape}. Received: {image.shape[:2]}")
            return image
        if init == "noise":
            seed = np.random.randint(2**31) if seed is None else seed
            middle = np.array(self.mean[::-1], "float64") / 255
            return np.clip(np.random.default_rng(seed).normal(middle, NOISE, (*shape, 3)), 0.0, 1.0).astype("float32")
        if init == "content" and content is not None:
            return content
        if init == "style" and styles:
            return ops.convert_to_numpy(ops.image.resize(styles[0], shape, antialias=True))
        raise ValueError(f"`init` must be 'noise', 'content', 'style' (where it is given) or an image. Received: {init!r}")

    # --- verbs ---

    def stylize(self, content, style, **options):
        """Paint `content` in the style of `style`.

        Args:
            content: `(height, width, 3)`, RGB in [0, 1].
            style: the same, of any size, or a list of several.
            **options: of `fit`.

        Returns:
            Array of the shape of `content`, in [0, 1].
        """
        self.fit(content, style, **options)
        return self.image

    @checked
    def texture(self, style, size: Numbers | None = None, layers: Texts | None = None, **options):
        """Synthesise an image that has the style alone (figure 1, style reconstructions).

        Args:
            style: `(height, width, 3)`, RGB in [0, 1], or a list of several.
            size: `(height, width)` of the result; `None` means the style's.
            layers: names of the layers to match; `None` means the style layers.
            **options: of `fit`.

        Returns:
            Array `(height, width, 3)` in [0, 1].
        """
        self.fit(None, style, size=size, style_layers=layers, **options)
        return self.image

    @checked
    def reconstruct(self, content, layers: Texts | None = None, **options):
        """What an image's features still tell about it (figure 1, content reconstructions).

        Args:
            content: `(height, width, 3)`, RGB in [0, 1].
            layers: names of the layers to match; `None` means the content layers.
            **options: of `fit`.

        Returns:
            Array of the shape of `content`, in [0, 1].
        """
        self.fit(content, None, content_layers=layers, **options)
        return self.image

    # --- examples and search ---

    @classmethod
    def example_config(cls):
        """A network of three small blocks."""
        return {
            "blocks": ((4, 5), (6,), (7, 8)),
            "pooling": "max",
            "content_layers": ("conv2_1", "conv3_2"),
            "style_layers": ("conv1_1", "conv3_1"),
            "content_weights": (0.5, 1.0),
            "style_weights": (2.0, 0.25),
            "alpha": 0.5,
            "beta": 20.0,
            "mean": (100.0, 110.0, 120.0),
            "std": (50.0, 60.0, 70.0),
        }

    def example_data(self, batch_size=2):
        """Two small images and few steps; there are no batches."""
        side = max(self._least_side, 16)
        content, style = self.example_inputs(1)[0], self.example_inputs(2)[1, : side - 1 if side > self._least_side else side]
        return {"content": content, "style": style, "steps": 9, "log_every": 3}

    def example_calls(self):
        """A small valid call of every verb."""
        image, options = self.example_inputs(1)[0], {"steps": 2, "verbose": 0}
        fit = {
            **self.example_data(),
            **options,
            "init": "noise",
            "keep_colors": False,
            "bounded": True,
            "tolerance": 0.0,
            "seed": 0,
            "log_every": 1,
        }
        return {
            **super().example_calls(),
            "fit": fit,
            "evaluate": {"image": image, "content": image, "style": image, "style_blend": [1.0]},
            "copy_convolutions": {"model": self.network},
            "normalize": {"images": image[None]},
            "stylize": {"content": image, "style": image, **options},
            "texture": {"style": image, "layers": self.style_layers[:1], **options},
            "reconstruct": {"content": image, "layers": self.content_layers[:1], **options},
        }

    @classmethod
    def search_space(cls, hp):
        """Weight of the content, and the pooling. Losses under different weights do not compare: give an objective of your own."""
        return {
            "alpha": hp.Float("alpha", 1e-2, 1e2, sampling="log"),
            "pooling": hp.Choice("pooling", ["average", "max"]),
        }


class _Objective:
    """The loss of an image, its gradient, and the logs, for `minimize`.

    In float16 the losses are multiplied before they are differentiated, so that gradients neither vanish nor overflow.

    Args:
        model: a `NeuralStyle`.
        targets: features and Gram matrices to match.
        weights: of the layers.
    """

    def __init__(self, model, targets, weights):
        self.model, self.arguments = model, (targets, weights)
        self.factors = np.array([model.alpha, model.beta], "float64")
        self.scale = 1.0 if model.compute_dtype != "float16" else None

    def __call__(self, image):
        losses, gradient = self._finite(image)
        losses = np.asarray(ops.convert_to_numpy(losses), "float64")
        return losses @ self.factors, gradient, {"content_loss": losses[0], "style_loss": losses[1]}

    def _finite(self, image):
        if self.scale == 1.0:
            return self.model._run_gradient(image, *self.arguments, self.factors.astype("float32"))
        if self.scale is None:
            loss = self.factors @ ops.convert_to_numpy(self.model._run_losses(image, *self.arguments))
            self.scale = 2.0**15 / max(loss, 1e-20)
        while True:
            losses, gradient = self.model._run_gradient(image, *self.arguments, (self.factors * self.scale).astype("float32"))
            gradient = ops.convert_to_numpy(gradient)
            if np.all(np.isfinite(gradient)) or self.scale < 1e-30:
                return losses, gradient / self.scale
            self.scale /= 4


def _copy(optimizer):
    """A fresh optimizer with the same settings; without Keras's loss scaling, since `_Objective` scales by itself."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return optimizer if optimizer is None else type(optimizer).from_config(optimizer.get_config())


def _listed(value):
    """A list of what was given: several, one, or none."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _grey(image):
    return np.repeat((image @ LUMINANCE)[..., None], 3, axis=-1)


def _as_light_as(image, other):
    """`image` with the mean and the contrast of `other`."""
    scaled = (image - image.mean()) * (other.std() / max(image.std(), 1e-6)) + other.mean()
    return np.clip(scaled, 0.0, 1.0).astype("float32")
