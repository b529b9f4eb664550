"""RIDE: exact densities of images, pixel by pixel, by LSTMs over both dimensions and mixtures of Gaussian scale mixtures.

Paper: Theis, Bethge 2015, "Generative Image Modeling Using Spatial LSTMs", arXiv 1506.03478. Inputs are `(batch, height, width, channels)`,
outputs log-densities in nats, `(batch,)`.

Pixels come in rows. What predicts a pixel is a spatial LSTM, which sees the causal neighbourhood of each pixel (above and to the left,
whitened) and itself at the neighbours, so that it may know of everything before; a factorised mixture of conditional Gaussian scale
mixtures turns its state into the density of the pixel, of what the best linear prediction from the neighbourhood leaves of it.

Differences from the paper:
1. The authors train on patches that grow from 8 to 22 pixels, at rates that fall from 1 to 0.0005, an epoch each. Here one `fit` has one
   size and one rate, 0.5 with momentum 0.9 by default; call it again with larger patches and a lower rate.
2. Borders are filled up with zeros, and inputs tell which of them are no pixels, as the authors do it for small patches: so an image has a
   density. `boundary="given"` conditions on the first rows and columns, as they do for large images.
3. Training adds noise of one grey level, so that the density cannot grow without bound on whole numbers of grey levels.
4. Only the extended LSTM and layers are options of the authors' code that are kept; `num_layers` are trained together, not added later.
5. Gradients of more than unit norm are scaled to it.
"""

import math

import keras
import numpy as np
from keras import ops
from rich.progress import track

from zoo import arguments, autodiff
from zoo.arguments import Count, Flag, Index, Inputs, Numbers, Verbose, checked
from zoo.layers.mcgsm import MCGSM
from zoo.layers.spatial_lstm import SpatialLSTM
from zoo.model import Field, Model, is_stream
from zoo.optimizers.minimize import minimize

BOUNDARIES = ("zeros", "given")
# images of one compiled call, and pixels from which statistics are taken
ROWS, PIXELS = 64, 200_000
# sides of the block that is proposed at once and of the window whose density decides, and how far blocks are apart, in pixels
BLOCK, WINDOW, STRIDE = 5, 19, 3
HAAR = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], "float32") / 2


class RIDE(Model):
    """Recurrent image density estimator; `fit(x)` needs no targets, and images of any one size.

    Before the first training the statistics of neighbourhoods are taken, from the images given to `fit` or by `adapt`, which datasets and
    generators need.

    Args:
        image_shape: `(height, width, channels)` of what is served; `None` for sizes that may change from call to call.
        units: of each spatial LSTM; 0 for none, so that the mixture sees the neighbourhood alone: the MCGSM of the paper's comparisons.
        num_layers: spatial LSTMs on top of each other.
        components: of the mixture.
        scales: of each component.
        features: quadratic features that the components share.
        neighborhood: side of the square whose causal half predicts a pixel, odd; 5 is 12 pixels.
        extended: LSTMs whose gates see the memories of both neighbours.
        levels: of the multi-scale variant: how often an image is split into its half-size means and three details for each (Haar's basis),
            which have a network of their own, given the means. Sides must be multiples of 2 ** levels.
        boundary: `"zeros"`: the density of a whole image. `"given"`: of the pixels that have a whole neighbourhood.
        grey_levels: of the images in [0, 1]; training adds noise of one level, bits count a level as the unit. `None`: no noise, unit 1.
        precondition: whitened neighbourhoods and linear prediction.
        skip_last: leave out the last pixel of an image, for patches whose mean was taken away: it is known from the others.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    output_name = "log_density"
    default_batch_size = 50

    def __init__(
        self,
        image_shape=(None, None, 1),
        units=64,
        num_layers=1,
        components=32,
        scales=4,
        features=32,
        neighborhood=5,
        extended=False,
        levels=0,
        boundary="zeros",
        grey_levels=256,
        precondition=True,
        skip_last=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_sizes(image_shape, neighborhood, levels, boundary)
        for name, value in {"num_layers": num_layers, "components": components, "scales": scales, "features": features}.items():
            arguments.count(name, value)
        arguments.count("units", units, low=0)
        if grey_levels is not None:
            arguments.count("grey_levels", grey_levels, low=2)
        if skip_last and (levels or boundary == "given"):
            raise ValueError("`skip_last` must be False with levels or a given boundary. Received: True")
        self.image_shape, self.units, self.num_layers = image_shape, units, num_layers
        self.components, self.scales, self.features = components, scales, features
        self.neighborhood, self.extended, self.levels, self.boundary = neighborhood, extended, levels, boundary
        self.grey_levels, self.precondition, self.skip_last = grey_levels, precondition, skip_last
        channels = image_shape[-1]
        # the image, or its coarsest means; then the details from fine to coarse
        self.stages = [self._stage(channels, 0, "image"), *(self._stage(3 * channels, channels, f"details_{i}") for i in range(levels))]
        self.adapted = self.add_weight((), "zeros", "int32", trainable=False, name="adapted")
        self.seed_generator = keras.random.SeedGenerator()
        self.bits = keras.metrics.Mean("bits_per_pixel")
        self.compile()

    def _stage(self, channels, context, name):
        mixture = {"components": self.components, "scales": self.scales, "features": self.features}
        padded = self.boundary == "zeros"
        units = [self.units] * self.num_layers if self.units else []
        return _Stage(channels, context, self.neighborhood, padded, units, self.extended, mixture, name)

    def input_fields(self):
        """Images on any scale; grey levels count as of [0, 1]."""
        if None not in self.image_shape[:2]:
            return [Field("image", tuple(self.image_shape))]
        side = 2**self.levels * self.neighborhood
        return [Field("image", tuple(self.image_shape), example=tuple(n or side for n in self.image_shape[:2]))]

    def check(self, x, y=None):
        """Raise a `ValueError` if `x` is no batch of images whose sides the levels divide."""
        super().check(x, y)
        if hasattr(x, "shape") and len(x.shape) == 4:
            self._check_sides("image", x.shape)

    def _check_sides(self, name, shape):
        least, unit = self.neighborhood if self.boundary == "given" else 1, 2**self.levels
        for side in shape[1:3]:
            if side is not None and (side % unit or side // unit < least):
                wanted = f"sides that are multiples of {unit}, and at least {least * unit}"
                raise ValueError(f"`{name}` must have {wanted}. Received: shape {tuple(shape)}")

    @classmethod
    def example_config(cls):
        """A small model of two layers."""
        sizes = {"units": 3, "num_layers": 2, "components": 3, "scales": 2, "features": 4, "neighborhood": 3, "extended": True}
        return {"image_shape": (6, 4, 2), **sizes, "grey_levels": 32}

    def example_calls(self):
        """A small valid call of every verb."""
        x = self.example_inputs()
        missing = np.zeros(x.shape[1:3], bool)
        missing[1:3, 1:3] = True
        own = {
            "adapt": {"x": x},
            "log_density": {"x": x, "orientations": 2, "batch_size": 2},
            "bits_per_pixel": {"x": x, "orientations": 1, "seed": 0},
            "sample": {"n": 2, "height": 4, "width": 6, "seed": 0},
            "finetune": {"x": x, "steps": 2, "verbose": 0},
            "density_map": {"x": x, "batch_size": 2},
            "inpaint": {"x": x, "missing": missing, "sweeps": 1, "candidates": 2, "seed": 0, "verbose": 0},
        }
        if self.levels:
            own.update(density_map={}, inpaint={})
        return {**super().example_calls(), **own}

    @classmethod
    def search_space(cls, hp):
        """Sizes and learning rate."""
        return {
            "units": hp.Choice("units", [16, 32, 64, 128]),
            "num_layers": hp.Int("num_layers", 1, 3),
            "components": hp.Choice("components", [8, 16, 32]),
            "neighborhood": hp.Choice("neighborhood", [3, 5, 7]),
            "learning_rate": hp.Float("learning_rate", 1e-2, 1.0, sampling="log"),
        }

    def default_optimizer(self):
        """SGD with momentum 0.9 (the authors' code, which starts at a rate of 1)."""
        return keras.optimizers.SGD(0.5, momentum=0.9, clipnorm=1.0)

    # --- learning ---

    @checked
    def fit(self, x=None, *args, **kwargs):
        """`zoo.Model.fit`; the first one on arrays takes the statistics of their neighbourhoods."""
        if not int(self.adapted):
            if is_stream(x):
                raise ValueError(f"`x` must be an array at first; else call `adapt(images)` before. Received: {type(x).__name__}")
            arguments.check_call(Model.fit, self, x, *args, **kwargs)
            self.adapt(self.prepared(x)[0])
        return super().fit(x, *args, **kwargs)

    @checked
    def adapt(self, x: Inputs):
        """Take means, whitening and linear prediction of neighbourhoods from images `(n, height, width, channels)`."""
        x = self._noisy(np.asarray(x, "float32"), np.random.default_rng(0))
        # as many as give enough pixels, and not more, since neighbourhoods of all are held
        x = x[:: -(-x[..., 0].size // PIXELS)]
        for stage, (planes, context) in zip(self.stages, self._planes(x)):
            stage.adapt(planes, context, self.precondition)
        self.adapted.assign(1)

    def call(self, x, training=False):
        """Log-densities `(batch,)` in nats."""
        x = ops.cast(x, "float32")
        if training and self.grey_levels:
            noise = keras.random.uniform(ops.shape(x), -0.5, 0.5, seed=self.seed_generator)
            x = x + noise / (self.grey_levels - 1)
        return sum(ops.sum(values, axis=(1, 2)) for values in self._maps(x))

    def objective(self, x, y, y_pred, sample_weight, training):
        """Mean negative log-density of a number of a pixel, in nats."""
        rows = ops.ones_like(y_pred) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        loss = -y_pred / ops.cast(self._size(ops.shape(x)), "float32")
        self.bits.update_state(self._in_bits(loss), sample_weight=rows)
        return ops.mean(rows * loss)

    @checked
    def finetune(self, x: Inputs, steps: Count = 100, seed: Index = 0, verbose: Verbose | Flag = 1):
        """Train the mixtures alone, by L-BFGS on all given images at once (section 2.4): a step is one evaluation on all pixels.

        Args:
            x: images `(n, height, width, channels)`; up to 200,000 pixels are used.
            steps: evaluations for each mixture at most.
            seed: of the noise of a grey level.
            verbose: whether to show a progress bar.

        Returns:
            The mean nats of a pixel at the end of each stage: a list with one number, more if there are levels.
        """
        x = self._noisy(np.asarray(x, "float32"), np.random.default_rng(seed))
        x = x[:: -(-x[..., 0].size // PIXELS)]
        return [self._finetuned(i, planes, given, steps, verbose) for i, (planes, given) in enumerate(self._planes(x))]

    def _finetuned(self, i, planes, context, steps, verbose):
        stage, arrays = self.stages[i], [planes] if context is None else [planes, context]
        states = self._graph(("states", i, *planes.shape[1:3]), lambda planes, context=None: stage.states(planes, context))
        hidden, targets = (found.reshape(-1, found.shape[-1]) for found in autodiff.in_batches(states, arrays, ROWS))
        weights = stage.mixture.trainable_variables
        loss = self._graph(("mixture", i), lambda h, y: autodiff.value_and_weight_grad(lambda: -ops.mean(stage.mixture(h, y)), weights))

        def evaluate(flat):
            _put(weights, flat)
            value, gradients = loss(hidden, targets)
            return float(value), np.concatenate([ops.convert_to_numpy(g).ravel() for g in gradients])

        found = minimize(evaluate, np.concatenate([ops.convert_to_numpy(w).ravel() for w in weights]), steps, verbose=int(bool(verbose)))
        _put(weights, found.x)
        return found.logs["loss"]

    # --- densities ---

    @checked
    def log_density(self, x: Inputs, orientations: Count = 1, batch_size: Count = ROWS):
        """Log-densities of images, in nats.

        Args:
            x: images `(n, height, width, channels)`.
            orientations: the mean of the densities of so many of the eight mirrored and transposed images, an ensemble (section 3.2).
            batch_size: images at once.

        Returns:
            float32 array `(n,)`.

        Raises:
            ValueError: if there are more than eight `orientations`, or more than four of images that are not square.
        """
        arguments.count("orientations", orientations, high=8)
        x, found = np.asarray(x, "float32"), []
        if orientations > 4 and x.shape[1] != x.shape[2]:
            raise ValueError(f"`orientations` must be at most 4 for images that are not square. Received: {orientations}")
        run = self._graph(("log_density", *x.shape[1:3]), lambda x: self.call(x))
        for i in range(orientations):
            turned = np.swapaxes(x, 1, 2) if i & 4 else x
            turned = np.ascontiguousarray(turned[:, :: -1 if i & 2 else 1, :: -1 if i & 1 else 1])
            found.append(autodiff.in_batches(run, [turned], batch_size)[0])
        return np.logaddexp.reduce(found, axis=0) - np.float32(math.log(orientations))

    @checked
    def bits_per_pixel(self, x: Inputs, orientations: Count = 1, seed: Index = 0, batch_size: Count = ROWS):
        """How many bits a pixel costs, for each channel; with noise of a grey level, a bound on the cost of the whole levels.

        Args:
            x: images `(n, height, width, channels)` in [0, 1].
            orientations: as in `log_density`.
            seed: of the noise.
            batch_size: images at once.

        Returns:
            float32 array `(n,)`.
        """
        x = self._noisy(np.asarray(x, "float32"), np.random.default_rng(seed))
        nats = -self.log_density(x, orientations, batch_size) / self._size(x.shape)
        return self._in_bits(nats)

    @checked
    def density_map(self, x: Inputs, batch_size: Count = ROWS):
        """Log-densities of pixels given all before them, in nats: what surprises the model.

        Args:
            x: images `(n, height, width, channels)`.
            batch_size: images at once.

        Returns:
            float32 array `(n, height, width)`; with a given boundary smaller by it.

        Raises:
            ValueError: if the model has levels.
        """
        self._without_levels("density_map")
        x = np.asarray(x, "float32")
        return autodiff.in_batches(self._graph(("map", *x.shape[1:3]), lambda x: self._maps(x)[0]), [x], batch_size)[0]

    def _maps(self, x):
        """Log-densities `(batch, height, width)` of the pixels of each stage."""
        found = [stage(*pair) for stage, pair in zip(self.stages, self._planes(x))]
        if self.skip_last:
            height, width = ops.shape(found[0])[1:3]
            place = ops.reshape(ops.arange(height * width), (height, width))
            found[0] = ops.where(place < height * width - 1, found[0], 0.0)
        return found

    def _planes(self, x):
        """Of each stage, its planes and the planes that it is given, or `None`."""
        details = []
        for _ in range(self.levels):
            x, fine = split(x)
            details.append((fine, x))
        return [(x, None), *details]

    def _size(self, shape):
        """How many numbers of an image of a batch of some shape are predicted."""
        radius, (height, width, channels) = self.neighborhood // 2, shape[1:]
        if self.boundary == "zeros":
            return (height * width - int(self.skip_last)) * channels
        total = 0
        for i in range(self.levels + 1):
            rows, columns = height // 2**i, width // 2**i
            if i:
                total = total + 3 * (rows - radius) * (columns - 2 * radius)
        return (total + (height // 2**self.levels - radius) * (width // 2**self.levels - 2 * radius)) * channels

    def _in_bits(self, nats):
        return (nats + (math.log(self.grey_levels - 1) if self.grey_levels else 0.0)) / math.log(2.0)

    def _noisy(self, x, rng):
        return x + (rng.random(x.shape, "float32") - np.float32(0.5)) / (self.grey_levels - 1) if self.grey_levels else x

    def _without_levels(self, verb):
        if self.levels:
            raise ValueError(f"`{verb}` must be asked of a model without levels. Received: levels={self.levels}")

    # --- samples ---

    @checked
    def sample(self, n: Count = 1, height: Count = 32, width: Count = 32, seed: Index | None = None):
        """Draw images, pixel by pixel in one compiled loop.

        Args:
            n: how many.
            height: of the images.
            width: of the images.
            seed: an int gives the same images each time.

        Returns:
            float32 array `(n, height, width, channels)`, within the range of the images that the model has seen.

        Raises:
            ValueError: if levels do not divide the sides, or the boundary would have to be given.
        """
        if self.boundary == "given":
            raise ValueError("`sample` must be asked of a model with `boundary='zeros'`; `inpaint` continues images. Received: 'given'")
        self._check_sides("height", (n, height, width))
        rng, x = np.random.default_rng(self._fresh_seed() if seed is None else seed), None
        sizes = [(height >> self.levels, width >> self.levels), *((height >> i + 1, width >> i + 1) for i in reversed(range(self.levels)))]
        for i, (rows, columns) in zip([0, *reversed(range(1, self.levels + 1))], sizes):
            stage = self.stages[i]
            planes, missing = np.zeros((n, rows, columns, stage.channels), "float32"), np.ones((n, rows, columns), "float32")
            found = self._completed(i, planes, missing, x, rng, clip=True)[0]
            x = found if x is None else joined(x, found)
        return ops.convert_to_numpy(x)

    @checked
    def inpaint(
        self,
        x: Inputs,
        missing: Numbers,
        sweeps: Index = 10,
        candidates: Count = 5,
        seed: Index | None = None,
        verbose: Verbose | Flag = 1,
    ):
        """Fill holes (section 3.4).

        Missing pixels are drawn in order, given those before them; of so many candidates that with the largest density is kept. As pixels
        behind a hole did not count so far, sweeps of Metropolis's rule follow: blocks of 5 x 5 pixels are drawn anew, and kept by the
        density of what is around them.

        Args:
            x: images `(n, height, width, channels)`; what stands in missing places is not read.
            missing: bool array `(height, width)` or `(n, height, width)`.
            sweeps: of blocks over the holes.
            candidates: how many to start from.
            seed: an int gives the same draws each time.
            verbose: whether to show a progress bar.

        Returns:
            float32 array like `x`.

        Raises:
            ValueError: if `missing` has another shape, nothing is missing, or the model has levels.
        """
        self._without_levels("inpaint")
        x, rng = np.asarray(x, "float32"), np.random.default_rng(self._fresh_seed() if seed is None else seed)
        missing = self._missing(missing, x.shape)
        drawn = [ops.convert_to_numpy(self._completed(0, x, missing, None, rng, clip=True)[0]) for _ in range(candidates)]
        best = np.argmax([self.log_density(c) for c in drawn], axis=0)
        x = np.stack(drawn)[best, np.arange(len(x))]
        blocks = _blocks(missing)
        for _ in track(range(sweeps), "Sweeps", disable=not verbose):
            x = self._swept(x, missing, blocks, rng)
        return x

    def _completed(self, i, planes, missing, context, rng, clip):
        """Planes of a stage with missing places drawn, and the log-density of the draws."""
        stage = self.stages[i]
        noise = rng.random(planes.shape[:3], "float32"), rng.normal(size=planes.shape).astype("float32")
        arrays = [planes, missing, *noise, *([] if context is None else [context])]
        key = ("complete", i, *planes.shape[1:3], clip)
        return self._graph(key, lambda *arrays: stage.complete(*arrays, clip=clip))(*arrays)

    def _swept(self, x, missing, blocks, rng):
        """`x` after one proposal for each block, one after the other; images are chains of their own."""
        stage, (corners, windows, (rows, columns)) = self.stages[0], blocks
        shape = (len(corners), len(x), rows, columns)
        uniform, chance = rng.random(shape, "float32"), rng.random(shape[:2], "float32")
        normal = rng.normal(size=(*shape, x.shape[3])).astype("float32")

        def sweep(x, missing, corners, windows, uniform, normal, chance):
            def one(t, x):
                top, left = windows[t, 0], windows[t, 1]
                patch = ops.slice(x, (0, top, left, 0), (x.shape[0], rows, columns, x.shape[3]))
                block = _within(top, rows, corners[t, 0])[:, None] * _within(left, columns, corners[t, 1])
                hole = ops.slice(missing, (0, top, left), (x.shape[0], rows, columns)) * block
                proposed, log_q = stage.complete(patch, hole, uniform[t], normal[t])
                _, log_back = stage.complete(patch, hole, uniform[t], normal[t], forced=True)
                ratio = _total(stage(proposed)) - _total(stage(patch)) - log_q + log_back
                kept = ops.log(ops.maximum(chance[t], 1e-30)) < ratio
                return ops.slice_update(x, (0, top, left, 0), ops.where(kept[:, None, None, None], proposed, patch))

            return ops.fori_loop(0, corners.shape[0], one, x)

        run = self._graph(("sweep", *x.shape, *shape), sweep)
        return ops.convert_to_numpy(run(x, missing, corners, windows, uniform, normal, chance))

    def _missing(self, missing, shape):
        if missing.shape not in (shape[:3], shape[1:3]) or not np.isin(missing, (0, 1)).all() or not np.any(missing):
            expected = f"bools of shape {shape[1:3]} or {shape[:3]}, some of them true"
            raise ValueError(f"`missing` must hold {expected}. Received: {arguments.shown(missing)}")
        missing = np.broadcast_to(missing, shape[:3]).astype("float32")
        radius = self.neighborhood // 2
        if self.boundary == "given" and (missing[:, :radius].any() or missing[:, :, :radius].any() or missing[:, :, -radius:].any()):
            raise ValueError(f"`missing` must be false in the first {radius} rows and at the sides, which are given. Received: others")
        return missing

    def _fresh_seed(self):
        drawn = keras.random.randint((), 0, arguments.LARGEST_INT, seed=self.seed_generator)
        return int(ops.convert_to_numpy(drawn))


class _Stage(keras.layers.Layer):
    """A density of planes `(batch, height, width, channels)`, pixel by pixel, given other planes of the same size if there are such."""

    def __init__(self, channels, context, size, padded, units, extended, mixture, name):
        super().__init__(name=name, dtype="float32")
        self.channels, self.context, self.size, self.padded = channels, context, size, padded
        self.radius = size // 2
        # pixels above in rows of `size`, and those to the left
        self.pixels = self.radius * size + self.radius
        inputs = self.pixels * channels + size * size * context + (self.pixels if padded else 0)
        self.mean, self.output_mean = self._fixed("mean", (inputs,), 0.0), self._fixed("output_mean", (channels,), 0.0)
        self.whitening = self._fixed("whitening", (inputs, inputs), np.eye(inputs))
        self.predictor = self._fixed("predictor", (inputs, channels), 0.0)
        # what makes the remainder white, and its inverse
        self.output_whitening = self._fixed("output_whitening", (channels, channels), np.eye(channels))
        self.output_coloring = self._fixed("output_coloring", (channels, channels), np.eye(channels))
        self.range = self._fixed("range", (2, channels), np.array([[-1.0], [1.0]]) * np.inf)
        self.lstms = [SpatialLSTM(n, extended, dtype="float32", name=f"lstm_{i}") for i, n in enumerate(units)]
        self.mixture = MCGSM(channels, **mixture, name="mixture")
        for layer, n in zip([*self.lstms, self.mixture], [inputs, *units]):
            layer.build((None, None, None, n))
        self.built = True

    def _fixed(self, name, shape, value):
        value = np.broadcast_to(np.asarray(value, "float32"), shape)
        return self.add_weight(shape, lambda shape, dtype: ops.convert_to_tensor(value, dtype), trainable=False, name=name)

    # --- what predicts a pixel ---

    def causal(self, planes):
        """The pixels before each pixel: `(batch, height, width, pixels * channels)`, row by row from the upper left corner."""
        r = self.radius
        if self.padded:
            planes = ops.pad(planes, [[0, 0], [r, 0], [r, r], [0, 0]])
        places = [(i, j) for i in range(r) for j in range(self.size)] + [(r, j) for j in range(r)]
        return _shifted(planes, places, r, 2 * r)

    def around(self, context):
        """What the given planes have around each pixel: `(batch, height, width, size ** 2 * channels)`."""
        r = self.radius
        context = ops.pad(context, [[0, 0], [r, r], [r, r], [0, 0]])
        found = _shifted(context, [(i, j) for i in range(self.size) for j in range(self.size)], 2 * r, 2 * r)
        return found if self.padded else found[:, r:, r:-r]

    def fixed_inputs(self, planes, context):
        """What predicts a pixel and is known before any pixel: the given planes, and which neighbours are none; or `None`."""
        parts = [] if context is None else [self.around(context)]
        if self.padded:
            ones = ops.ones_like(planes[..., :1])
            outside = 1.0 - self.causal(ones)
            parts.append(outside)
        return ops.concatenate(parts, axis=-1) if parts else None

    def inputs(self, planes, context):
        """All that predicts each pixel, `(batch, height, width, inputs)`."""
        fixed = self.fixed_inputs(planes, context)
        causal = self.causal(planes)
        return causal if fixed is None else ops.concatenate([causal, fixed], axis=-1)

    def targets(self, planes):
        """The pixels that are predicted."""
        r = self.radius
        return planes if self.padded else planes[:, r:, r:-r]

    def adapt(self, planes, context, precondition):
        """Take the statistics of NumPy planes."""
        x = ops.convert_to_numpy(self.inputs(planes, context)).reshape(-1, self.mean.shape[0]).astype("float64")
        y = ops.convert_to_numpy(self.targets(planes)).reshape(-1, self.channels).astype("float64")
        self.range.assign(np.stack([y.min(axis=0), y.max(axis=0)]))
        if not precondition:
            return
        mean, output_mean = x.mean(axis=0), y.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(x - mean, rowvar=False, bias=True))
        # directions without variance are left out
        scale = np.where(values > 1e-7 * values.max(), 1.0 / np.sqrt(np.maximum(values, 1e-30)), 0.0)
        whitening = vectors * scale
        white = (x - mean) @ whitening
        predictor = white.T @ (y - output_mean) / len(x)
        rest = y - output_mean - white @ predictor
        coloring = np.linalg.cholesky(rest.T @ rest / len(x) + 1e-12 * np.eye(self.channels))
        for variable, value in zip(
            (self.mean, self.output_mean, self.whitening, self.predictor, self.output_coloring, self.output_whitening),
            (mean, output_mean, whitening, predictor, coloring, np.linalg.inv(coloring)),
        ):
            variable.assign(value.astype("float32"))

    # --- densities ---

    def white(self, inputs):
        """Whitened inputs, and the linear prediction from them."""
        inputs = ops.matmul(inputs - self.mean, self.whitening)
        return inputs, ops.matmul(inputs, self.predictor) + self.output_mean

    def states(self, planes, context=None):
        """What the mixture sees of each pixel, and the white remainder that it has to predict."""
        hidden, linear = self.white(self.inputs(planes, context))
        for lstm in self.lstms:
            hidden = lstm(hidden)
        return hidden, ops.matmul(self.targets(planes) - linear, ops.transpose(self.output_whitening))

    def call(self, planes, context=None):
        """Nats of each pixel, `(batch, height, width)`."""
        return self.mixture(*self.states(planes, context)) + self._log_volume()

    def _log_volume(self):
        return ops.sum(ops.log(ops.diagonal(self.output_whitening)))

    # --- draws ---

    def complete(self, planes, missing, uniform, normal, context=None, clip=False, forced=False):
        """Planes whose missing places are drawn in order, and the log-density of the draws given what is before each.

        Args:
            planes: `(batch, height, width, channels)`.
            missing: `(batch, height, width)`, 1 where a pixel is drawn.
            uniform: noise like `missing`.
            normal: noise like `planes`.
            context: the given planes.
            clip: whether draws are kept in the range of the images that were seen.
            forced: whether the planes' own values stand for the draws.
        """
        r, (batch, height, width) = self.radius, ops.shape(planes)[:3]
        fixed = self.fixed_inputs(planes, context)
        margin = r if self.padded else 0
        canvas = ops.pad(planes, [[0, 0], [margin, 0], [margin, margin], [0, 0]])
        rows, columns = (height, width) if self.padded else (height - r, width - 2 * r)
        # where the first predicted pixel lies in planes
        top, side = (0, 0) if self.padded else (r, r)
        states = tuple(ops.zeros((batch, columns, 2 * lstm.units)) for lstm in self.lstms)
        lefts = tuple(ops.zeros((batch, 2 * lstm.units)) for lstm in self.lstms)

        def at(x, i, j):
            return ops.take(ops.take(x, i, axis=1), j, axis=1)

        def step(t, carry):
            canvas, lefts, states, log_q = carry
            i, j = t // columns, t % columns
            window = ops.slice(canvas, (0, i, j, 0), (batch, r + 1, self.size, self.channels))
            inputs = ops.reshape(window, (batch, -1, self.channels))[:, : self.pixels]
            inputs = ops.reshape(inputs, (batch, self.pixels * self.channels))
            hidden, linear = self.white(inputs if fixed is None else ops.concatenate([inputs, at(fixed, i, j)], axis=-1))
            new_lefts, new_states = [], []
            for lstm, left, row in zip(self.lstms, lefts, states):
                left = ops.where(ops.equal(j, 0), 0.0, left)
                state = lstm.step(lstm.drive(hidden), left, ops.take(row, j, axis=1))
                new_lefts.append(state)
                new_states.append(ops.slice_update(row, (0, j, 0), state[:, None]))
                hidden = state[:, : lstm.units]
            old, wanted = ops.take(ops.take(canvas, i + r, axis=1), j + r, axis=1), at(missing, i + top, j + side)[:, None]
            drawn = self.mixture.draw(hidden, at(uniform, i + top, j + side), at(normal, i + top, j + side))
            drawn = linear + ops.matmul(drawn, ops.transpose(self.output_coloring))
            if clip:
                drawn = ops.clip(drawn, self.range[0], self.range[1])
            value = old if forced else ops.where(wanted > 0, drawn, old)
            rest = ops.matmul(value - linear, ops.transpose(self.output_whitening))
            log_q = log_q + wanted[:, 0] * (self.mixture(hidden, rest) + self._log_volume())
            canvas = ops.slice_update(canvas, (0, i + r, j + r, 0), value[:, None, None])
            return canvas, tuple(new_lefts), tuple(new_states), log_q

        canvas, _, _, log_q = ops.fori_loop(0, rows * columns, step, (canvas, lefts, states, ops.zeros((batch,))))
        return canvas[:, margin:, margin : margin + width], log_q


def split(x):
    """Half-size means of images `(batch, height, width, channels)` and their three details, `(..., 3 * channels)` (Haar's basis)."""
    parts = ops.stack([x[:, 0::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 0::2], x[:, 1::2, 1::2]], axis=-1)
    found = ops.matmul(parts, ops.convert_to_tensor(HAAR.T))
    details = found[..., 1:]
    return found[..., 0], ops.reshape(details, (*ops.shape(details)[:3], 3 * x.shape[-1]))


def joined(means, details):
    """The inverse of `split`."""
    batch, height, width, channels = ops.shape(means)
    details = ops.reshape(details, (batch, height, width, channels, 3))
    parts = ops.matmul(ops.concatenate([means[..., None], details], axis=-1), ops.convert_to_tensor(HAAR))
    # (batch, height, width, channels, row, column)
    parts = ops.reshape(parts, (batch, height, width, channels, 2, 2))
    return ops.reshape(ops.transpose(parts, (0, 1, 4, 2, 5, 3)), (batch, 2 * height, 2 * width, channels))


def _shifted(planes, places, below, beside):
    """Copies of planes that start at each place, side by side on the last axis; `below` rows and `beside` columns fewer."""
    height, width = ops.shape(planes)[1] - below, ops.shape(planes)[2] - beside
    return ops.concatenate([planes[:, i : i + height, j : j + width] for i, j in places], axis=-1)


def _total(maps):
    return ops.sum(maps, axis=(1, 2))


def _blocks(missing):
    """Blocks that have holes in some image: their upper left corners, those of the windows around them, and the windows' size."""
    sides, holes = missing.shape[1:], missing.any(axis=0)
    size = tuple(min(WINDOW, side) for side in sides)
    corners = [(i, j) for i in range(0, sides[0], STRIDE) for j in range(0, sides[1], STRIDE) if holes[i : i + BLOCK, j : j + BLOCK].any()]
    corners = np.array(corners, "int32")
    return corners, np.clip(corners - (WINDOW - BLOCK) // 2, 0, np.subtract(sides, size)).astype("int32"), size


def _within(start, size, corner):
    """1 where the places of a window's side are in a block, else 0."""
    places = start + ops.arange(size, dtype="int32")
    return ops.cast(ops.logical_and(places >= corner, places < corner + BLOCK), "float32")


def _put(weights, flat):
    start = 0
    for weight in weights:
        size = int(np.prod(weight.shape))
        weight.assign(np.reshape(flat[start : start + size], weight.shape))
        start += size


def _check_sizes(image_shape, neighborhood, levels, boundary):
    sides = [side for side in image_shape[:2] if side is not None] if len(image_shape) == 3 else [0]
    if len(image_shape) != 3 or image_shape[2] is None or min([*sides, image_shape[2]]) < 1:
        raise ValueError(f"`image_shape` must be (height, width, channels), `None` for sides that change. Received: {image_shape}")
    arguments.count("neighborhood", neighborhood, low=3)
    arguments.count("levels", levels, low=0)
    arguments.one_of("boundary", boundary, BOUNDARIES)
    if neighborhood % 2 == 0:
        raise ValueError(f"`neighborhood` must be odd. Received: {neighborhood}")
