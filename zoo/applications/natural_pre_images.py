"""Natural pre-images: what a layer of a network has kept of an image, what a unit looks for, and what a layer makes of an image.

Paper: Mahendran, Vedaldi 2015, "Visualizing Deep Convolutional Neural Networks Using Natural Pre-Images", arXiv 1512.02017. An image x is
sought with the smallest energy (equation 1)

    E(x) = R_alpha(x) / B^alpha + R_TV(x) / V^beta + C l(phi(x), phi_0),   V = B / 6.5,

where l is the squared distance of codes over the squared length of phi_0 (inversion), or less the inner product with phi_0 (activation
maximisation, where phi_0 is one unit, and caricatures, where it is max(0, phi(x_0))). Constants are those of the authors' code
(nnpreimage), which say what pixels from 0 to 255 around the mean colour are like: B = 80 is a usual length of a colour, 160 the largest.

Shapes: images `(batch, height, width, channels)` in the network's own range -> codes `(batch, ...)` of one of its layers.

Differences from the paper:
1. Pixels stay in the network's range as well as in the ball of radius 160, so that what is found is an image (`bounded=False` is the
   paper's; its result is cut to the range at the end, where the authors stretch it).
2. Activations are maximised through the network as it is; the authors let ReLUs leak by 0.05.
3. The receptive field, by which activations are weighted, is where derivatives are not 0, and ends with the image.
4. For images with other than three channels, lengths of colours are scaled by the root of channels / 3, and the total
   variation is divided by channels / 3.
5. The last steps of an inversion, at a tenth of the rate and without jitter, keep the border that jitter needs.
6. L-BFGS is an addition; each image has its own search, without jitter, and within the range instead of the ball.
"""

import warnings
from functools import partial
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments, autodiff
from zoo.arguments import Callbacks, Count, Flag, Index, Inputs, Numbers, Positive, Verbose, checked
from zoo.callbacks.callback_loop import CallbackLoop
from zoo.families.wrapped_classifier import TeacherStaysMixin, sample_shape
from zoo.losses.natural_images import alpha_norm, total_variation
from zoo.model import Field, Model
from zoo.optimizers.minimize import minimize
from zoo.optimizers.momentum_adagrad import MomentumAdagrad
from zoo.relevance import find_logits, running
from zoo.relevance.network import is_graph

METHODS = ("descent", "lbfgs")
# of ImageNet, in [0, 1]
MEAN = (0.485, 0.456, 0.406)
# of a colour to a gradient, in natural images
GRADIENTS = 6.5
# pixels of a receptive field whose activations weigh 1
FIELD = 100
# the largest side of what is made where neither the network nor the caller says more
SIDE = 224
PARTS = ("dissimilarity", "alpha_norm", "total_variation")


class NaturalPreImages(TeacherStaysMixin, Model):
    """Wraps any Keras model of images; `invert(x)`, `maximize(units)` and `caricature(x)` make images that show what a layer does.

    The network stays as it is: `fit`, like the verbs, changes images. `call` and `predict` give codes.

    Args:
        network: a built Keras model that takes one array of images. For `layer` it must be functional or Sequential, or run such a model.
        layer: name of the layer whose code is looked at, or of one of several outputs; `None` is the output, without the softmax or
            sigmoid at its end.
        input_range: black and white as the network takes them.
        mean: the mean colour, one number a channel in `input_range`; `None` is ImageNet's for three channels, else the middle.
        method: `"descent"`, the paper's with its momentum and scaling of steps, or `"lbfgs"`, SciPy's. A Keras optimizer given to `compile`
            takes the descent's place; to it, pixels are numbers from 0 to 255.
        alpha: power of the length of colours.
        beta: power of the length of gradients: 1 likes spots and sharp edges, 2 is smooth.
        alpha_weight: of the first regulariser, 1 in the paper; 0 leaves it out.
        tv_weight: of the second.
        inversion_weight: C of inversion; the paper tries 1, 20, 100 and 300.
        activation_weight: C of activation maximisation and of caricatures.
        typical_norm: B, a usual length of a centred colour, in 255ths of `input_range`.
        largest_norm: the largest length, or `None`.
        jitter: number of pixels by which the image may lie at each step; `None` is a quarter of the layer's stride (section 3.2).
        bounded: whether pixels stay in `input_range` during the search.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Attributes:
        images: what the last search found so far, or `None`.
    """

    output_name = "code"
    untrained = "network"

    def __init__(
        self,
        network,
        layer=None,
        input_range=(0.0, 1.0),
        mean=None,
        method="descent",
        alpha=6.0,
        beta=2.0,
        alpha_weight=1.0,
        tv_weight=1.0,
        inversion_weight=100.0,
        activation_weight=1.0,
        typical_norm=80.0,
        largest_norm=160.0,
        jitter=None,
        bounded=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        arguments.one_of("method", method, METHODS)
        arguments.flag("bounded", bounded)
        for name, value in (("alpha", alpha), ("beta", beta)):
            # higher powers overflow float32
            arguments.number(name, value, low=1, high=30)
        weights = {"alpha_weight": alpha_weight, "tv_weight": tv_weight}
        for name, value in {**weights, "inversion_weight": inversion_weight, "activation_weight": activation_weight}.items():
            arguments.number(name, value, low=0)
        arguments.number("typical_norm", typical_norm, above=0)
        if largest_norm is not None:
            arguments.number("largest_norm", largest_norm, above=0)
        if jitter is not None:
            arguments.count("jitter", jitter)
        self.network, self.layer = network, layer
        self.input_range, self.mean, self.method = input_range, mean, method
        self.alpha, self.beta, self.alpha_weight, self.tv_weight = alpha, beta, alpha_weight, tv_weight
        self.inversion_weight, self.activation_weight = inversion_weight, activation_weight
        self.typical_norm, self.largest_norm, self.jitter, self.bounded = typical_norm, largest_norm, jitter, bounded
        self.image_shape = sample_shape(network, "network")
        if len(self.image_shape) != 3 or self.image_shape[-1] is None:
            raise ValueError(f"`network` must take images (batch, height, width, channels). Received: samples of shape {self.image_shape}")
        self._check_range()
        graph = _graph(network, self._concrete())
        self._code, self._shapes = _code_of(network, graph, layer, self._concrete())
        self._stride = _stride(graph, self._shapes(self._concrete(SIDE)), self._concrete(SIDE))
        self.seed_generator = keras.random.SeedGenerator()
        self.responses = self.add_weight(
            shape=(self.code_shape(self._concrete()[:2])[-1],), initializer="ones", trainable=False, dtype="float32", name="responses"
        )
        self._found = None
        self.compile()

    def _check_range(self):
        low, high = self.input_range if len(np.shape(self.input_range)) == 1 and len(self.input_range) == 2 else (0, 0)
        if not -np.inf < low < high < np.inf:
            raise ValueError(f"`input_range` must be a smallest and a larger largest value. Received: {self.input_range}")
        channels = self.image_shape[-1]
        mean = MEAN if channels == 3 else (0.5,) * channels
        mean = low + (high - low) * np.array(mean) if self.mean is None else arguments.numbers("mean", self.mean).astype("float64")
        if mean.shape != (channels,) or not np.all((mean >= low) & (mean <= high)):
            raise ValueError(f"`mean` must be {channels} numbers in {self.input_range}, one a channel. Received: {self.mean}")
        self._center = (255 * (mean - low) / (high - low)).astype("float32")
        # lengths of colours
        self._lengths = float(np.sqrt(channels / 3))

    def _concrete(self, side=64):
        """The shape of an image, with sides for those that are free."""
        return tuple(n or side for n in self.image_shape)

    # --- what it takes and gives ---

    def input_fields(self):
        """Images in `input_range`."""
        low, high = self.input_range
        return [Field("image", self.image_shape, low=low, high=high, example=(64, 64))]

    def call(self, x, training=False):
        """Codes phi(x), float32, of images `(batch, height, width, channels)`."""
        return self._phi(x)

    def _phi(self, x):
        with autodiff.Scope():
            return ops.cast(self._code(x, training=False), "float32")

    @checked
    def code_shape(self, size: Numbers | None = None):
        """Shape of the code of one image of `size`, `(height, width)`; `None` is the network's own."""
        size = self._size(size)
        return tuple(self._shapes((*size, self.image_shape[-1])))

    def _size(self, size):
        """`(height, width)` as whole numbers; the network's own where it has one."""
        own = self.image_shape[:2]
        if size is None:
            if None in own:
                raise ValueError("`size` must be given (height, width), since the network takes images of any size. Received: None")
            return own
        size = arguments.numbers("size", size, rank=1)
        size = tuple(arguments.count("size", side) for side in size)
        if len(size) != 2 or any(n not in (None, m) for n, m in zip(own, size)):
            raise ValueError(f"`size` must be (height, width), {own} of the network, None for any. Received: {size}")
        return size

    # --- the search ---

    def compile(self, *args, **kwargs):
        """As `zoo.Model.compile`. There is no other loss than the paper's, and there are no metrics.

        Adam wants a rate of about 2 here, since pixels are numbers from 0 to 255 to it.
        """
        super().compile(*args, **kwargs)
        if not self._auto_loss or self._compile_arguments["metrics"] not in ("auto", None):
            raise ValueError("`loss` and `metrics` must be 'auto': the energy of an image is the method. Received: others")
        self._cache = _Cache()

    def default_optimizer(self):
        """The paper's variant of AdaGrad (section 3.4), at the rate that takes a colour of usual length to grey in some 20 steps."""
        return MomentumAdagrad(0.05 * self.typical_norm**2 / self.alpha, momentum=0.9)

    @checked
    def fit(  # type: ignore[override]
        self,
        x: Inputs,
        steps: Count = 350,
        seed: Index | None = None,
        batch_size: Count = 16,
        callbacks: Callbacks | None = None,
        log_every: Count = 10,
        verbose: Verbose = "auto",
    ) -> keras.callbacks.History:
        """Search images with the codes of `x` (inversion); afterwards they are `images`.

        Args:
            x: `(n, height, width, channels)` in `input_range`.
            steps: evaluations of the energy for each batch, or for each image under L-BFGS; the last seventh has a tenth of the rate.
            seed: of the start and of jitter.
            batch_size: images that are searched together; each has its own energy.
            callbacks: Keras callbacks; an epoch is `log_every` steps, and one that stops ends the present batch.
            log_every: steps in an epoch.
            verbose: 0 is silent, 1 a progress bar, 2 a line an epoch.

        Returns:
            A Keras `History` with means over the batch of `loss` (the energy) and of its parts, weighted as they are in it,
            `dissimilarity`, `alpha_norm` and `total_variation`, and `steps`.

        Raises:
            ValueError: if an argument cannot be.
        """
        target, mask, factor = self._to_invert(self._codes(x, batch_size), None, "x")
        self._search("distance", target, mask, factor, None, x.shape[1:3], steps, seed, batch_size, verbose, callbacks, log_every)
        return self.history

    @checked
    def invert(
        self,
        x: Inputs | None = None,
        codes: Numbers | None = None,
        mask: Numbers | None = None,
        size: Numbers | None = None,
        init: Inputs | None = None,
        steps: Count = 350,
        seed: Index | None = None,
        batch_size: Count = 16,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Images with given codes: what a layer has kept of images (section 5).

        Args:
            x: images to invert, `(n, height, width, channels)`; or
            codes: codes to invert, `(n, ...)`.
            mask: weights of the numbers of a code that count, of its shape (of its last axes), such as 1 for some channels or a
                neighbourhood and 0 for others; `None` counts all.
            size: `(height, width)` of the result, for codes of a network that takes any size.
            init: images to start from instead of noise.
            steps: as in `fit`.
            seed: as in `fit`; each seed gives another pre-image.
            batch_size: as in `fit`.
            verbose: 0 is silent, 1 a progress bar, 2 lines.

        Returns:
            Images `(n, height, width, channels)` in `input_range`.

        Raises:
            ValueError: if an argument cannot be, or not just one of `x` and `codes` is given.
        """
        if (x is None) == (codes is None):
            raise ValueError(f"`x` or `codes` must be given, and not both. Received: {'neither' if x is None else 'both'}")
        if x is not None:
            if size is not None:
                raise ValueError(f"`size` must be None with `x`, which has its own. Received: {arguments.shown(size)}")
            codes, size = self._codes(x, batch_size), x.shape[1:3]
        else:
            size = self._size(size)
            codes = np.asarray(codes, "float32")
            if codes.shape[1:] != (expected := self.code_shape(size)):
                raise ValueError(f"`codes` must have shape (batch, {', '.join(map(str, expected))}). Received: {codes.shape}")
        target, mask, factor = self._to_invert(codes, mask, "codes" if x is None else "x")
        return self._search("distance", target, mask, factor, init, size, steps, seed, batch_size, verbose)

    @checked
    def maximize(
        self,
        units: Numbers,
        positions: Literal["center", "all"] = "center",
        size: Numbers | None = None,
        crop: Flag = False,
        init: Inputs | None = None,
        steps: Count = 300,
        seed: Index | None = None,
        batch_size: Count = 16,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Images that excite units most: what they look for (section 6). `adapt` first, or activations count as if 1 were the largest.

        Args:
            units: channels or classes of the layer, `(n,)`; one that comes twice gives two images.
            positions: `"center"` is the unit in the middle of the map, `"all"` the mean over the whole map.
            size: `(height, width)` of the result; `None` is the network's own, else what the unit in the middle sees, at most 224.
            crop: whether the result is cut to what the unit in the middle sees.
            init: as in `invert`.
            steps: evaluations of the energy, all at one rate.
            seed: as in `fit`.
            batch_size: as in `fit`.
            verbose: as in `invert`.

        Returns:
            Images `(n, height, width, channels)` in `input_range`.

        Raises:
            ValueError: if an argument cannot be.
        """
        units = Field("units", (), "int32", 0, int(self.responses.shape[0]) - 1).convert(arguments.numbers("units", units, rank=1))
        if size is None and None in self.image_shape:
            top, left, bottom, right = self.receptive_field((SIDE, SIDE))
            step = self._stride
            size = tuple(min(SIDE, -(-n // step) * step) for n in (bottom - top, right - left))
        size = self._size(size)
        top, left, bottom, right = self.receptive_field(size)
        shape = self.code_shape(size)
        if len(shape) == 2 and positions == "center":
            raise ValueError(f"`positions` must be 'all' for codes without rows and columns, {shape}. Received: 'center'")
        where = _middle(shape) if positions == "center" else (slice(None),) * (len(shape) - 1)
        target = np.zeros((len(units), *shape), "float32")
        for row, unit in zip(target, units):
            row[(*where, unit)] = 1.0
            row /= row.sum()
        area = (bottom - top) * (right - left) if positions == "center" else size[0] * size[1]
        factor = self.activation_weight * FIELD**2 / area / ops.convert_to_numpy(self.responses)[units]
        images = self._search("product", target, np.ones_like(target), factor, init, size, steps, seed, batch_size, verbose)
        return images[:, top:bottom, left:right] if crop else images

    @checked
    def caricature(
        self,
        x: Inputs,
        mask: Numbers | None = None,
        steps: Count = 300,
        seed: Index | None = None,
        batch_size: Count = 16,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Images with more of what excites the layer in `x`, from which the search starts (section 7).

        Args:
            x: `(n, height, width, channels)` in `input_range`.
            mask: as in `invert`.
            steps: as in `maximize`.
            seed: of jitter.
            batch_size: as in `fit`.
            verbose: as in `invert`.

        Returns:
            Images of the shape of `x`, in `input_range`.
        """
        codes = np.maximum(self._codes(x, batch_size), 0.0)
        mask = self._mask(mask, codes)
        factor = self.activation_weight / _squares(codes * mask**0.5, "x")
        return self._search("product", codes, mask, factor, np.asarray(x), x.shape[1:3], steps, seed, batch_size, verbose)

    @property
    def images(self):
        """What the last search found so far."""
        return None if self._found is None else self._as_images(self._found)

    def _search(self, kind, target, mask, factor, init, size, steps, seed, batch_size, verbose, callbacks=None, log_every=10):
        """Images of least energy, batch by batch; the last batch is filled up, so that all have one shape."""
        number, size = len(target), tuple(size)
        seed = np.random.randint(2**31) if seed is None else seed
        self.seed_generator.state.assign(np.array([seed, 0], "uint32"))
        start = self._start(number, size, init, np.random.default_rng(seed))
        batch_size = 1 if self.method == "lbfgs" else min(batch_size, number)
        batches = range(0, number, batch_size)
        loop = CallbackLoop(self, [*self._callbacks, *(callbacks or [])], steps * len(batches), log_every, verbose)
        bar = keras.utils.Progbar(steps * len(batches), verbose=verbose in ("auto", 1), stateless_metrics=["loss", *PARTS])
        run = self._lbfgs if self.method == "lbfgs" else self._descend
        self._found = start[:, self._border() :, self._border() :][:, : size[0], : size[1]].copy()
        with loop:
            for first in batches:
                rows = np.minimum(np.arange(first, first + batch_size), number - 1)
                self.stop_training = False

                def advance(parts, images, place=first):
                    self._found[place : place + batch_size] = images[: number - place]
                    logs = {"loss": float(sum(parts)), **dict(zip(PARTS, map(float, parts)))}
                    bar.update(min(loop.step + 1, bar.target - 1), logs.items())
                    return loop.advance(logs)

                run(_Task(kind, size, target[rows], mask[rows], np.asarray(factor, "float32")[rows]), start[rows], steps, advance)
        bar.update(bar.target, [], finalize=True)
        return self.images

    def _start(self, number, size, init, rng):
        """Canvases to start from, in 255ths of the range: uniform noise (section 3.4), or images on the mean colour."""
        border, channels = self._border(), self.image_shape[-1]
        shape = (number, *(n + self._jitter() - 1 for n in size), channels)
        if init is None:
            noise = rng.uniform(-1, 1, shape) / 0.9 * self.typical_norm / 3**0.5
            return self._projected((self._center + noise).astype("float32"))
        if init.shape[1:3] != size or len(init) not in (1, number):
            raise ValueError(f"`init` must be {number} images (or one) of {size[0]} x {size[1]}. Received: shape {init.shape}")
        canvas = np.broadcast_to(self._center, shape).copy()
        low, high = self.input_range
        canvas[:, border : border + size[0], border : border + size[1]] = 255 * (np.asarray(init, "float32") - low) / (high - low)
        return self._projected(canvas)

    def _jitter(self):
        """Places at which the image may lie on its canvas, along each side."""
        if self.method == "lbfgs":
            return 1
        return max(round(self._stride / 4), 1) if self.jitter is None else self.jitter

    def _border(self):
        return (self._jitter() - 1) // 2

    def _projected(self, canvas):
        """The nearest canvas whose colours are no longer than allowed, then within the range (NumPy, or tensors)."""
        xp = np if isinstance(canvas, np.ndarray) else ops
        centered = canvas - self._center
        if self.largest_norm is not None and self.method != "lbfgs":
            length = xp.sqrt(xp.sum(xp.square(centered), axis=-1, keepdims=True))
            centered = centered * xp.minimum(self.largest_norm * self._lengths / xp.maximum(length, 1e-6), 1.0)
        canvas = centered + self._center
        return xp.clip(canvas, 0.0, 255.0) if self.bounded else canvas

    def _as_images(self, pixels):
        """Pixels in 255ths of the range as images in it."""
        low, high = self.input_range
        return np.clip(low + np.asarray(pixels, "float32") * ((high - low) / 255), low, high).astype("float32")

    def _descend(self, task, start, steps, advance):
        """The steps of an optimizer on a batch of canvases; those of an inversion end at a tenth of the rate and without jitter."""
        search = self._cache.get(("descent", task.kind, task.size, start.shape), lambda: _Descent(self, task, start.shape))
        search.begin(start)
        slow = steps - steps // 7 if task.kind == "distance" else steps
        for step in range(steps):
            if step == slow:
                search.slow_down()
            parts = search.step(task.target, task.mask, task.factor)
            if advance(parts, search.images()):
                return

    def _lbfgs(self, task, start, steps, advance):
        """SciPy's L-BFGS on one image."""
        place = np.zeros(2, "int32")
        run = self._cache.get(
            ("lbfgs", task.kind, task.size), lambda: autodiff.compiled(_differentiator(self, task), self, bool(self.jit_compile))
        )

        def energy(x):
            parts, gradient = run(x, place, task.target, task.mask, task.factor)
            parts = ops.convert_to_numpy(parts)
            return float(parts.sum()), gradient, dict(zip(PARTS, parts))

        def after(step, x, logs):
            return advance([logs[name] for name in PARTS], ops.convert_to_numpy(x))

        minimize(energy, start, steps, None, (0.0, 255.0) if self.bounded else None, callback=after)

    def _energy(self, canvas, place, task):
        """The parts of the energy of each canvas, `(3, batch)` (equation 1)."""
        center = ops.convert_to_tensor(self._center)
        image = _cut(canvas, place, task.size)
        low, high = self.input_range
        code = self._phi(low + image * ((high - low) / 255))
        axes = tuple(range(1, len(code.shape)))
        if task.kind == "distance":
            loss = ops.sum(task.mask * ops.square(code - task.target), axis=axes)
        else:
            loss = -ops.sum(task.mask * task.target * code, axis=axes)
        typical = self.typical_norm * self._lengths
        # a power that might overflow is taken of a number near 1
        colours = alpha_norm((canvas - center) / typical, self.alpha)
        changes = total_variation((canvas - center) * (GRADIENTS / self.typical_norm), self.beta)
        return ops.stack([task.factor * loss, self.alpha_weight * colours, self.tv_weight / self._lengths**2 * changes])

    # --- codes ---

    def _codes(self, x, batch_size=16):
        """Codes of images, `(n, ...)`."""
        x = np.asarray(x, "float32")
        run = self._cache.get("codes", lambda: autodiff.compiled(self._phi, self))
        batch_size = min(batch_size, len(x))
        found = []
        for first in range(0, len(x), batch_size):
            rows = np.minimum(np.arange(first, first + batch_size), len(x) - 1)
            found.append(ops.convert_to_numpy(run(x[rows])))
        return np.concatenate(found)[: len(x)]

    def _to_invert(self, codes, mask, name):
        mask = self._mask(mask, codes)
        return codes, mask, self.inversion_weight / _squares(codes * mask**0.5, name)

    def _mask(self, mask, codes):
        if mask is None:
            return np.ones_like(codes)
        mask = np.asarray(mask, "float32")
        try:
            found = np.broadcast_to(mask, codes.shape).astype("float32")
        except ValueError:
            raise ValueError(f"`mask` must have the shape of a code, {codes.shape[1:]}, or one that fits. Received: {mask.shape}") from None
        if found.min() < 0 or not found.any():
            raise ValueError("`mask` must not be negative, and not 0 everywhere. Received: such numbers")
        return found

    @checked
    def adapt(self, x: Inputs, batch_size: Count = 16):
        """Take the largest response of each unit to natural images as what `maximize` measures activations by (section 3.3).

        Few images excite few units: each counts as at least half of the median over the units that respond, and a warning names those that
        do not.

        Args:
            x: `(n, height, width, channels)` in `input_range`, a few hundred photographs or more.
            batch_size: images in one compiled call.
        """
        codes = self._codes(x, batch_size)
        largest = codes.reshape(-1, codes.shape[-1]).max(axis=0)
        silent = np.flatnonzero(largest <= 0)
        if len(silent):
            units = f"{len(silent)} units of {len(largest)}, such as {silent[:5].tolist()}"
            warnings.warn(f"`x` must hold images that excite the units to maximize. Received: none for {units}", stacklevel=2)
        self.responses.assign(np.maximum(largest, 0.5 * np.median(largest[largest > 0]) if len(silent) < len(largest) else 1.0))

    @checked
    def receptive_field(self, size: Numbers | None = None) -> tuple[int, int, int, int]:
        """What the unit in the middle of the layer's map sees of an image: where its derivative is not 0 for some of eight noise images.

        Args:
            size: `(height, width)` of the image; `None` is the network's own.

        Returns:
            `(top, left, bottom, right)` in pixels, the latter two exclusive.
        """
        size = self._size(size)
        if len(self.code_shape(size)) == 2:
            # tokens have no middle
            return 0, 0, *size
        images = self._as_images(255 * np.random.default_rng(0).random((8, *size, self.image_shape[-1])))

        def response(x):
            code = self._phi(x)
            return ops.sum(ops.square(code[(slice(None), *_middle(code.shape[1:]))]))

        run = self._cache.get(("field", size), lambda: autodiff.compiled(lambda x: autodiff.grad(response, x), self))
        seen = np.abs(ops.convert_to_numpy(run(images))).max((0, 3)) > 0
        if not seen.any():
            return 0, 0, *size
        (rows,), (columns,) = np.nonzero(seen.any(1)), np.nonzero(seen.any(0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @checked
    def reconstruction_error(self, x: Inputs, originals: Inputs, scale: Positive | None = None, batch_size: Count = 16) -> np.ndarray:
        """How far the codes of images are from those of others, `|phi(x) - phi(x_0)| / N` (section 5).

        Args:
            x: `(n, height, width, channels)`, such as pre-images.
            originals: the same, what they were made from.
            scale: N; `None` is the mean distance between the codes of two of the originals, of one alone the length of its code.
            batch_size: images in one compiled call.

        Returns:
            `(n,)`: 0 is the same code, 1 that of another image.
        """
        _same_shape(x, originals)
        codes, others = self._codes(originals, batch_size), self._codes(x, batch_size)
        codes, others = (found.reshape(len(found), -1) for found in (codes, others))
        if scale is None:
            scale = _mean_distance(codes) if len(codes) > 1 else 0.0
            # of copies of one image, too
            scale = scale or float(np.linalg.norm(codes[0]))
        if not scale > 0:
            raise ValueError("`originals` must have codes that are not 0; or give `scale`. Received: such codes")
        return np.linalg.norm(others - codes, axis=1) / float(scale)

    @checked
    def evaluate(self, x: Inputs, originals: Inputs, batch_size: Count = 16) -> dict[str, float]:  # type: ignore[override]
        """The energy of images as pre-images of others, without jitter.

        Args:
            x: `(n, height, width, channels)` in `input_range`.
            originals: the same, what they were made from.
            batch_size: images in one compiled call.

        Returns:
            Dict of means: `loss` (the energy), its parts as in `fit`, and `error`, as of `reconstruction_error`.
        """
        _same_shape(x, originals)
        target, mask, factor = self._to_invert(self._codes(originals, batch_size), None, "originals")
        low, high = self.input_range
        pixels, size, parts = 255 * (np.asarray(x, "float32") - low) / (high - low), tuple(x.shape[1:3]), []
        batch_size = min(batch_size, len(pixels))
        run = self._cache.get(("energy", size), lambda: autodiff.compiled(_evaluator(self, size), self))
        for first in range(0, len(pixels), batch_size):
            rows = np.minimum(np.arange(first, first + batch_size), len(pixels) - 1)
            parts.append(ops.convert_to_numpy(run(pixels[rows], target[rows], mask[rows], factor[rows])))
        parts = np.concatenate(parts, axis=1)[:, : len(pixels)].mean(axis=1)
        error = float(self.reconstruction_error(x, originals, batch_size=batch_size).mean())
        return {"loss": float(parts.sum()), **dict(zip(PARTS, map(float, parts))), "error": error}

    # --- examples and search ---

    @classmethod
    def example_config(cls):
        """A small convolutional network of images of two channels between -1 and 1."""
        image = keras.Input((12, 14, 2))
        x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first")(image)
        x = layers.Conv2D(5, 3, padding="same", activation="relu", name="second")(x)
        x = layers.Dense(3, activation="softmax", dtype="float32")(layers.GlobalAveragePooling2D()(x))
        return {
            "network": keras.Model(image, x),
            "layer": "second",
            "input_range": [-1.0, 1.0],
            "mean": [0.1, -0.1],
            "alpha": 4.0,
            "beta": 1.5,
            "alpha_weight": 0.5,
            "tv_weight": 0.25,
            "inversion_weight": 200.0,
            "activation_weight": 2.0,
            "typical_norm": 70.0,
            "largest_norm": 150.0,
            "jitter": 3,
            "bounded": False,
        }

    def example_data(self, batch_size=2):
        """Keyword arguments of a small `fit`."""
        return {"x": self.example_inputs(batch_size), "steps": 14, "log_every": 3, "seed": 0}

    def example_calls(self):
        """A small valid call of every verb."""
        x, options = self.example_inputs(), {"steps": 2, "seed": 0, "batch_size": 2, "verbose": 0}
        size = x.shape[1:3]
        shape = self.code_shape(size)
        pair = {"x": x, "originals": x[::-1].copy(), "batch_size": 2}
        return {
            **super().example_calls(),
            "fit": {**self.example_data(), **options, "log_every": 1},
            "evaluate": pair,
            "invert": {"codes": self._codes(x), "mask": np.ones(shape[-1]), "size": size, "init": x, **options},
            "maximize": {"units": [0, shape[-1] - 1], "positions": "center", "size": size, "crop": True, "init": x, **options},
            "caricature": {"x": x, "mask": np.ones(shape), **options},
            "code_shape": {"size": size},
            "adapt": {"x": x, "batch_size": 2},
            "receptive_field": {"size": size},
            "reconstruction_error": {**pair, "scale": 2.0},
        }

    @classmethod
    def search_space(cls, hp):
        """The powers and C. Energies under different ones do not compare: give an objective of your own."""
        return {
            "alpha": hp.Choice("alpha", [2.0, 4.0, 6.0]),
            "beta": hp.Choice("beta", [1.0, 1.5, 2.0]),
            "inversion_weight": hp.Choice("inversion_weight", [1.0, 20.0, 100.0, 300.0]),
        }


# --- a search ---


class _Cache:
    """What was compiled, by its key; an object, in which Keras finds no layers."""

    def __init__(self):
        self.found = {}

    def get(self, key, make):
        """What is there, or else what `make` makes."""
        if key not in self.found:
            self.found[key] = make()
        return self.found[key]


class _Task:
    """What is sought: `kind` and `size` are fixed when a search is compiled, arrays have a row an image."""

    def __init__(self, kind, size, target, mask, factor):
        self.kind, self.size, self.target, self.mask, self.factor = kind, size, target, mask, factor


class _Canvas(layers.Layer):
    """The unknown of a search, beside the model that looks at it."""

    def __init__(self, model, shape):
        super().__init__(dtype="float32")
        self.model = model
        self.canvas = self.add_weight(shape=shape, initializer="zeros", name="canvas", dtype="float32")
        self.built = True


class _Descent:
    """Compiled steps of an optimizer on a batch of canvases.

    Args:
        model: a `NaturalPreImages`.
        task: what is sought.
        shape: of the canvases.
    """

    def __init__(self, model, task, shape):
        self.model, self.kind, self.size = model, task.kind, task.size
        self.holder = _Canvas(model, shape)
        self.optimizer = _copy(model.optimizer)
        self.optimizer.build([self.holder.canvas])
        self.fresh = [ops.convert_to_numpy(v) for v in self.optimizer.variables]
        self.rate = None if isinstance(self.optimizer.get_config()["learning_rate"], dict) else float(self.optimizer.learning_rate)
        self.differentiate = _differentiator(model, task)
        self.run = autodiff.compiled(self._step, self.holder, bool(model.jit_compile), self.optimizer)
        self.moves = 1

    def begin(self, start):
        """Start anew from canvases."""
        self.holder.canvas.assign(start)
        self._forget()
        self.moves = 1

    def slow_down(self):
        """Go on at a tenth of the rate, without momentum from before and without jitter."""
        self._forget()
        if self.rate is not None:
            self.optimizer.learning_rate = self.rate / 10
        self.moves = 0

    def _forget(self):
        for variable, value in zip(self.optimizer.variables, self.fresh):
            variable.assign(value)

    def step(self, target, mask, factor):
        """One step; returns the mean parts of the energy before it."""
        return ops.convert_to_numpy(self.run(target, mask, factor, np.int32(self.moves)))

    def images(self):
        """The middle of the canvases."""
        border, (height, width) = self.model._border(), self.size
        return ops.convert_to_numpy(self.holder.canvas)[:, border : border + height, border : border + width]

    def _step(self, target, mask, factor, moves):
        canvas, places = self.holder.canvas, self.model._jitter()
        place = keras.random.randint((2,), 0, places, seed=self.model.seed_generator)
        place = ops.where(moves > 0, place, self.model._border())
        parts, gradient = self.differentiate(canvas.value, place, target, mask, factor)
        # the energy is a mean over pixels, the steps of the paper are those of the sum
        self.optimizer.apply([gradient * float(self.size[0] * self.size[1])], [canvas])
        canvas.assign(self.model._projected(canvas.value))
        return parts


def _differentiator(model, task):
    """Function of canvases and what they are to be like -> mean parts of the energy, and the gradient of each canvas's own energy."""
    kind, size = task.kind, task.size
    # so that gradients of half precision do not vanish
    scale = 1024.0 if model.compute_dtype == "float16" else 1.0

    def differentiate(canvas, place, target, mask, factor):
        asked = _Task(kind, size, target, mask, factor)
        vector = np.full((3, canvas.shape[0]), scale, "float32")
        parts, gradient = autodiff.vjp(lambda x: model._energy(x, place, asked), canvas, ops.convert_to_tensor(vector))
        gradient = gradient / scale
        if scale != 1:
            gradient = ops.where(ops.isfinite(gradient), gradient, 0.0)
        return ops.mean(parts, axis=1), gradient

    return differentiate


def _evaluator(model, size):
    def evaluate(canvas, target, mask, factor):
        return model._energy(canvas, np.zeros(2, "int32"), _Task("distance", size, target, mask, factor))

    return evaluate


def _cut(canvas, place, size):
    """The images at one place `(row, column)` of canvases `(batch, height, width, channels)`."""
    if tuple(canvas.shape[1:3]) == tuple(size):
        return canvas
    place = ops.cast(place, "int32")
    zero = ops.zeros((), "int32")
    start = ops.stack([zero, place[0], place[1], zero])
    return ops.slice(canvas, start, (canvas.shape[0], *size, canvas.shape[3]))


def _copy(optimizer):
    """A fresh optimizer with the same settings, without Keras's scaling of losses."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return type(optimizer).from_config(optimizer.get_config())


# --- codes ---


def _graph(network, shape):
    """The functional or Sequential model that makes a network's output, or `None`."""
    found = running(network, shape)
    return None if found is None else found[0]


def _code_of(network, graph, layer, shape):
    """Two functions: (x, training) -> code, and the shape of an image -> that of its code.

    The first is no model: what it runs shares the network's weights, which are saved once.
    """
    outputs = None if graph is None else _output(graph)
    outputs = outputs if isinstance(outputs, dict) else {}
    if layer is None and not outputs:
        value = network(np.zeros((1, *shape), "float32"), training=False)
        if not hasattr(value, "shape") or len(value.shape) < 2:
            raise ValueError(f"`network` must give one array, or have named outputs. Received: {type(value).__name__}")
        logits = find_logits(network, shape) if len(value.shape) == 2 else None
        return network if logits is None else logits, partial(_shape_of, network)
    names = [*outputs, *([] if graph is None else [item.name for item in graph.layers])]
    if not isinstance(layer, str) or layer not in names:
        raise ValueError(f"`layer` must be the name of a layer or an output, one of {names}. Received: {layer!r}")
    tensor = outputs[layer] if layer in outputs else _output(graph.get_layer(layer))
    if not hasattr(tensor, "shape") or len(tensor.shape) < 2 or tensor.shape[-1] is None or "float" not in str(tensor.dtype):
        raise ValueError(f"`layer` must be one that is used once and gives one array of floats. Received: {layer!r}")
    part = keras.Model(graph.inputs[0], tensor)
    return lambda x, training=False: part(x, training=training), partial(_shape_of, part)


def _shape_of(network, shape):
    """Shape of what a network gives for one sample."""
    if is_graph(network):
        return network.compute_output_shape((1, *shape))[1:]
    return network(np.zeros((1, *shape), "float32"), training=False).shape[1:]


def _stride(graph, code_shape, shape):
    """Pixels between neighbouring units of a code; of a code without a map, those of the coarsest map of the network."""
    if len(code_shape) == 3:
        return max(1, round(shape[0] / code_shape[0]))
    outputs = [] if graph is None else [_output(item) for item in graph.layers]
    maps = [tensor for tensor in outputs if len(getattr(tensor, "shape", ())) == 4]
    shapes = keras.Model(graph.inputs[0], maps).compute_output_shape((1, *shape)) if maps else []
    # a pooling over the whole image leaves no map
    return max([1, *(round(shape[0] / height) for _, height, _, _ in shapes if height > 1)])


def _output(layer):
    """The tensor that a layer gives, `None` where it is used more than once."""
    try:
        return layer.output
    except (AttributeError, ValueError):
        return None


def _middle(shape):
    """Index of the unit in the middle of a code, less its channel."""
    return tuple(n // 2 for n in shape[:-1])


def _squares(codes, name):
    """Squared lengths of codes; an image without a code cannot be sought."""
    found = np.sum(np.square(codes, dtype="float64"), axis=tuple(range(1, codes.ndim))).astype("float32")
    if not np.all(found > 0):
        raise ValueError(f"`{name}` must have codes that are not 0 where `mask` counts. Received: 0 in row {int(np.argmin(found))}")
    return found


def _mean_distance(codes):
    """Of all pairs."""
    gram = codes.astype("float64") @ codes.T.astype("float64")
    squares = np.diag(gram)[:, None] + np.diag(gram) - 2 * gram
    return float(np.sqrt(np.maximum(squares, 0))[np.triu_indices(len(codes), 1)].mean())


def _same_shape(x, originals):
    if np.shape(x) != np.shape(originals):
        raise ValueError(f"`originals` must have the shape of `x`, {np.shape(x)}. Received: {np.shape(originals)}")
