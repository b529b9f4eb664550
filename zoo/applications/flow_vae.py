"""Variational inference with normalizing flows: a variational autoencoder whose posterior is bent by planar, radial or coupling steps.

Paper: Rezende, Mohamed 2015, "Variational Inference with Normalizing Flows", arXiv 1505.05770. A deep latent Gaussian model of black and
white images. The encoder gives a Gaussian and the parameters of a flow (algorithm 1); the flow turns draws of the one into draws of a
posterior that no longer is Gaussian. The bound on the log-likelihood, minus the free energy of equation 15, is tighter for it. NICE, whose
steps keep volume, is the paper's comparison; `flow_length=0` is the plain autoencoder. The flows are in `zoo.layers.normalizing_flows`.

Shapes: pixels `(batch, input_dim)`, 0 or 1 -> a dict with a draw `z` `(batch, latent_dim)` of the posterior, `log_q` `(batch,)`, its
log-density, and `logits` `(batch, input_dim)` of the pixels.

Differences from the paper:
1. RMSProp's rate is 1e-4 where the paper has 1e-5 and 500,000 updates; `default_optimizer` says why. Annealing takes a
   tenth of the paper's 10,000 updates for it.
2. Ten steps of flow by default; the paper has 10, 20, 40 and 80.
3. The paper does not say what the couplings of NICE are. Here the encoder gives the weights of a small network for each, see
   `zoo.layers.Coupling`; with two hidden units it has about as many as a planar step.
4. An evaluation draws once from the posterior for each image, as training does.
5. The paper does not say how flows start. Here they change nothing at first, and parameters hardly depend on the image.
"""

import math

import keras
import numpy as np
from keras import layers, ops
from scipy import special

from zoo import arguments, autodiff
from zoo.arguments import Count, Flag, Index, Inputs, Numbers, Verbose, checked
from zoo.families.latent_generator import Latent
from zoo.layers.normalizing_flows import Coupling, PlanarFlow, RadialFlow
from zoo.model import Field, Model

FLOWS = ("planar", "radial", "nice_orthogonal", "nice_permutation")
# draws of a posterior that verbs hold at a time, for one image and for a batch of them
DRAWS, ROWS = 250, 2000
LOG_2_PI = math.log(2 * math.pi)


class FlowVAE(Model):
    """Variational autoencoder of black and white images with a normalizing flow behind its encoder; `fit(pixels)` needs no targets.

    Args:
        input_dim: pixels of an image.
        latent_dim: length of the code `z`.
        units: of the one hidden layer of the encoder, and of that of the decoder (maxout).
        window: of maxout, the linear maps of which a unit takes the largest.
        flow: `"planar"`, `"radial"`, `"nice_orthogonal"` or `"nice_permutation"`, whose couplings are mixed by random rotations or
            permutations.
        flow_length: steps of the flow; 0 for a Gaussian posterior.
        amortised: whether the encoder gives the parameters of the flow for each image, as in the paper, or all images share them.
        coupling_units: hidden units of a step of NICE.
        annealing_steps: training steps until the likelihood counts in full, minus one in a hundred of them: its weight is
            min(1, 0.01 + t / `annealing_steps`) (equation 20). 0 for no annealing.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    # section 6
    default_batch_size = 100

    def __init__(
        self,
        input_dim=784,
        latent_dim=40,
        units=400,
        window=4,
        flow="planar",
        flow_length=10,
        amortised=True,
        coupling_units=2,
        annealing_steps=1000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.flow = arguments.one_of("flow", flow, FLOWS)
        self.input_dim, self.units = arguments.count("input_dim", input_dim), arguments.count("units", units)
        # the halves of a coupling
        self.latent_dim = arguments.count("latent_dim", latent_dim, low=2 if flow.startswith("nice") else 1)
        self.window, self.flow_length = arguments.count("window", window), arguments.count("flow_length", flow_length, low=0)
        self.amortised = arguments.flag("amortised", amortised)
        self.coupling_units = arguments.count("coupling_units", coupling_units)
        self.annealing_steps = arguments.count("annealing_steps", annealing_steps, low=0)
        self.bend = self._build_flow() if self.flow_length else None
        self.encoder = self._build_encoder()
        self.decoder = self._build_decoder()
        self.seed_generator = keras.random.SeedGenerator()
        # kept with the weights, so that a loaded model goes on where it was
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", trainable=False, dtype="float32", autocast=False)
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.kl = keras.metrics.Mean("kl")
        self.compile()

    # --- the networks ---

    def _build_flow(self):
        options = {"length": self.flow_length, "amortised": self.amortised, "dtype": "float32", "name": "flow"}
        if self.flow.startswith("nice"):
            bend = Coupling(units=self.coupling_units, mixing=self.flow.removeprefix("nice_"), **options)
        else:
            bend = {"planar": PlanarFlow, "radial": RadialFlow}[self.flow](**options)
        bend.build((None, self.latent_dim))
        return bend

    def _build_encoder(self):
        """Pixels -> mean and log-variance of the Gaussian `(batch, latent_dim)`, and the parameters of an amortised flow (algorithm 1)."""
        pixels = keras.Input((self.input_dim,), name="pixels")
        hidden = self._maxout(pixels, "encoder_hidden")
        heads = [layers.Dense(self.latent_dim, dtype="float32", name=name)(hidden) for name in ("mean", "log_variance")]
        if self.bend is not None and self.amortised:
            # the flow starts where it changes nothing, so that its length does not slow the first epochs
            options = {"kernel_initializer": keras.initializers.RandomNormal(stddev=1e-3), "bias_initializer": self.bend.initial_parameters}
            size = self.bend.parameter_count(self.latent_dim)
            heads.append(layers.Dense(size, dtype="float32", name="flow_parameters", **options)(hidden))
        return keras.Model(pixels, heads, name="encoder")

    def _build_decoder(self):
        """Codes -> logits of the pixels."""
        z = keras.Input((self.latent_dim,), name="z")
        hidden = self._maxout(z, "decoder_hidden")
        return keras.Model(z, layers.Dense(self.input_dim, dtype="float32", name="logits")(hidden), name="decoder")

    def _maxout(self, x, name):
        """The largest of `window` linear maps for each unit (Goodfellow et al. 2013)."""
        pieces = layers.Dense(self.units * self.window, name=name)(x)
        return ops.max(layers.Reshape((self.units, self.window))(pieces), axis=-1)

    def call(self, x, training=False):
        """A draw of the posterior, and what the decoder makes of it.

        Args:
            x: pixels `(batch, input_dim)`.
            training: whether to draw; else the mean of the Gaussian goes through the flow.

        Returns:
            Dict of `z` `(batch, latent_dim)`, `log_q` `(batch,)` and `logits` `(batch, input_dim)`, float32.
        """
        shape = (ops.shape(x)[0], 1, self.latent_dim)
        noise = keras.random.normal(shape, seed=self.seed_generator) if training else ops.zeros(shape)
        return {key: value[:, 0] for key, value in self._draw(x, noise).items()}

    def _draw(self, x, noise):
        """Codes from noise `(batch, samples, latent_dim)`, their log-densities, and the logits of their pixels."""
        mean, log_variance, *parameters = (head[:, None] for head in self.encoder(ops.cast(x, "float32")))
        z = mean + ops.exp(0.5 * log_variance) * noise
        log_q = -0.5 * ops.sum(noise * noise + log_variance + LOG_2_PI, axis=-1)
        if self.bend is not None:
            z, log_det = self.bend(z, *parameters)
            log_q = log_q - log_det
        logits = self.decoder(ops.reshape(z, (-1, self.latent_dim)))
        return {"z": z, "log_q": log_q, "logits": ops.reshape(logits, (*ops.shape(log_q), self.input_dim))}

    # --- what goes in ---

    def input_fields(self):
        """Pixels, 0 or 1; `zoo.datasets.binarized` makes them of grey ones."""
        return [Field("pixels", (self.input_dim,), "int32", 0, 1)]

    def check_batch(self, x, y=None):
        """Pixels of a dataset may be floats: the encoder wants floats anyway."""
        self.check(x)

    def latent_fields(self):
        """What the decoder takes: codes, standard normal by the prior."""
        return [Field("z", (self.latent_dim,))]

    @classmethod
    def example_config(cls):
        """A small model with NICE."""
        return {
            "input_dim": 6,
            "latent_dim": 3,
            "units": 5,
            "window": 2,
            "flow": "nice_permutation",
            "flow_length": 2,
            "coupling_units": 3,
            "annealing_steps": 7,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        x, few = self.example_inputs(3), {"seed": 1, "verbose": 0}
        return {
            **super().example_calls(),
            "beta": {"step": 3},
            "encode": {"x": x, "samples": 2, **few},
            "decode": {"z": np.zeros((2, self.latent_dim), "float32")},
            "reconstruct": {"x": x, "seed": 1},
            "sample": {"n": 2, "binary": True, "seed": 1},
            "free_energy": {"x": x, "samples": 2, **few},
            "log_likelihood": {"x": x, "samples": 3, **few},
        }

    @classmethod
    def search_space(cls, hp):
        """Sizes, the flow and the learning rate."""
        return {
            "latent_dim": hp.Int("latent_dim", 10, 60, step=10),
            "units": hp.Choice("units", [100, 200, 400]),
            "flow": hp.Choice("flow", list(FLOWS)),
            "flow_length": hp.Choice("flow_length", [0, 10, 20, 40]),
            "annealing_steps": hp.Choice("annealing_steps", [0, 1000, 10000]),
            "learning_rate": hp.Float("learning_rate", 1e-5, 1e-3, sampling="log"),
        }

    # --- learning ---

    def default_optimizer(self):
        """RMSProp with a momentum of 0.9 (section 6), and ten times the paper's rate.

        After six epochs of binarised MNIST, 3000 updates without annealing, the free energy of held-out images was 109 nats with this rate
        and 135 with the paper's, which makes 500,000 updates.
        """
        return keras.optimizers.RMSprop(1e-4, momentum=0.9)

    @checked
    def beta(self, step: Numbers | None = None):
        """Weight of the log-joint after so many steps of training (equation 20); by default after those that the model has had.

        Args:
            step: one or an array of any shape, at least 0.

        Returns:
            A float32 tensor of the shape of `step`.
        """
        if step is not None:
            arguments.within("step", np.asarray(step), low=0)
        step = ops.cast(self.steps if step is None else step, "float32")
        return ops.minimum(1.0, 0.01 + step / self.annealing_steps) if self.annealing_steps else ops.ones_like(step)

    def objective(self, x, y, y_pred, sample_weight, training):
        """The free energy in nats of an image (equation 15), in training with the annealed log-joint (equation 20)."""
        beta = ops.ones(())
        if training:
            beta = self.beta()
            self.steps.assign_add(1.0)
        else:
            # the means of `call` bound nothing
            noise = keras.random.normal((ops.shape(x)[0], 1, self.latent_dim), seed=self.seed_generator)
            y_pred = {key: value[:, 0] for key, value in self._draw(x, noise).items()}
        log_prior, log_pixels = self._log_joint(x, y_pred)
        rows = ops.ones_like(log_prior) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        self.reconstruction.update_state(-log_pixels, sample_weight=rows)
        self.kl.update_state(y_pred["log_q"] - log_prior, sample_weight=rows)
        return ops.mean(rows * (y_pred["log_q"] - beta * (log_prior + log_pixels)))

    def _log_joint(self, x, drawn):
        """Logarithms of p(z) and of p(x | z), for `x` whose axes broadcast against those of the logits."""
        log_prior = -0.5 * ops.sum(drawn["z"] ** 2 + LOG_2_PI, axis=-1)
        logits = drawn["logits"]
        return log_prior, ops.sum(ops.cast(x, "float32") * logits - ops.softplus(logits), axis=-1)

    # --- verbs ---

    @checked
    def encode(self, x: Inputs, samples: Count = 1, seed: Index | None = None, verbose: Verbose = "auto") -> tuple[np.ndarray, np.ndarray]:
        """Draws of the posterior of each image, and their log-densities (equation 13).

        Args:
            x: pixels `(n, input_dim)`, 0 or 1.
            samples: draws for each image.
            seed: an int gives the same draws each time.
            verbose: whether to show a progress bar; `"auto"` shows it from 32 batches on.

        Returns:
            `z` `(n, samples, latent_dim)` and `log_q` `(n, samples)`, nats, float32.
        """
        z = np.empty((len(x), samples, self.latent_dim), "float32")
        log_q = np.empty((len(x), samples), "float32")
        for rows, columns, found in self._batches("place", self._placed, x, samples, seed, verbose):
            z[rows, columns], log_q[rows, columns] = found
        return z, log_q

    @checked
    def decode(self, z: Latent) -> np.ndarray:
        """Probabilities of white pixels for codes `z` `(n, latent_dim)`: float32 `(n, input_dim)`."""
        z = self.latent_fields()[0].convert(z).astype("float32")
        run = self._graph("decode", lambda z: ops.sigmoid(self.decoder(z)))
        return autodiff.in_batches(run, [z], ROWS)[0]

    @checked
    def reconstruct(self, x: Inputs, seed: Index | None = None) -> np.ndarray:
        """What the decoder makes of one draw of the posterior of each image.

        Args:
            x: pixels `(n, input_dim)`, 0 or 1.
            seed: of the draws.

        Returns:
            Probabilities of white pixels `(n, input_dim)`, float32.
        """
        return self.decode(self.encode(x, 1, seed, verbose=0)[0][:, 0])

    @checked
    def sample(self, n: Count, binary: Flag = False, seed: Index | None = None) -> np.ndarray:
        """Images of codes from the prior.

        Args:
            n: how many.
            binary: whether to draw the pixels as well, in place of giving their probabilities.
            seed: an int gives the same images each time.

        Returns:
            Array `(n, input_dim)`, float32 in [0, 1].
        """
        rng = self._generator(seed)
        found = self.decode(rng.standard_normal((n, self.latent_dim), "float32"))
        return (rng.random(found.shape, "float32") < found).astype("float32") if binary else found

    @checked
    def free_energy(self, x: Inputs, samples: Count = 1, seed: Index | None = None, verbose: Verbose = "auto") -> np.ndarray:
        """The bound on the negative log-likelihood of each image, in nats (equation 15), estimated from draws of its posterior.

        Args:
            x: pixels `(n, input_dim)`, 0 or 1.
            samples: draws for each image.
            seed: of the draws.
            verbose: as in `encode`.

        Returns:
            Array `(n,)`; its mean over images is what papers report.
        """
        total = np.zeros(len(x))
        for rows, _, (weights,) in self._batches("weigh", self._weighed, x, samples, seed, verbose):
            total[rows] -= weights.sum(axis=1, dtype="float64")
        return total / samples

    @checked
    def log_likelihood(self, x: Inputs, samples: Count = 5000, seed: Index | None = None, verbose: Verbose = "auto") -> np.ndarray:
        """The log-likelihood of each image in nats, by importance sampling with the posterior as the proposal (Rezende et al. 2014).

        The estimate is too low on average, less so with more samples. Memory does not grow with them.

        Args:
            x: pixels `(n, input_dim)`, 0 or 1.
            samples: draws for each image.
            seed: of the draws.
            verbose: as in `encode`.

        Returns:
            Array `(n,)`.
        """
        total = np.full(len(x), -np.inf)
        for rows, _, (weights,) in self._batches("weigh", self._weighed, x, samples, seed, verbose):
            total[rows] = np.logaddexp(total[rows], special.logsumexp(weights.astype("float64"), axis=1))
        return total - math.log(samples)

    def signatures(self):
        """`serve` gives codes and reconstructions without noise, `decode` turns codes into probabilities of white pixels."""
        return {
            "serve": (self._serve, self.input_fields()),
            "decode": (lambda z: {"probabilities": ops.sigmoid(self.decoder(z))}, self.latent_fields()),
        }

    def _serve(self, x):
        found = self(x, training=False)
        return {"z": found["z"], "probabilities": ops.sigmoid(found["logits"])}

    # --- batches of images and draws ---

    def _batches(self, key, function, x, samples, seed, verbose):
        """Rows, columns and results of `function(pixels, noise)`, always of the same shapes, for parts of the images and of the draws."""
        x, rng, run = np.asarray(x), self._generator(seed), self._graph(key, function)
        width = min(samples, DRAWS)
        height = min(len(x), ROWS // width)
        firsts = [(i, j) for i in range(0, len(x), height) for j in range(0, samples, width)]
        shown = len(firsts) >= 32 if verbose == "auto" else verbose
        bar = keras.utils.Progbar(len(firsts), unit_name="batch", verbose=1 if shown else 0)
        for i, j in firsts:
            rows, columns = slice(i, min(i + height, len(x))), slice(j, min(j + width, samples))
            noise = rng.standard_normal((height, width, self.latent_dim), "float32")
            found = run(np.resize(x[rows], (height, self.input_dim)), noise)
            yield rows, columns, [ops.convert_to_numpy(part)[: rows.stop - i, : columns.stop - j] for part in found]
            bar.add(1)

    def _generator(self, seed):
        """NumPy's, from `seed` or from the model's own."""
        return np.random.default_rng(ops.convert_to_numpy(self.seed_generator.next()) if seed is None else seed)

    def _placed(self, x, noise):
        """Codes `(images, draws, latent_dim)` and their log-densities `(images, draws)`."""
        drawn = self._draw(x, noise)
        return [drawn["z"], drawn["log_q"]]

    def _weighed(self, x, noise):
        """Log-weights of the draws `(images, draws)`: of the joint, less those of the posterior."""
        drawn = self._draw(x, noise)
        log_prior, log_pixels = self._log_joint(x[:, None], drawn)
        return [log_prior + log_pixels - drawn["log_q"]]
