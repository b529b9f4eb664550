"""Virtual adversarial training: any classifier, smoothed where its prediction is most sensitive, with or without labels.

Paper: Miyato, Maeda, Koyama, Nakae, Ishii 2015, "Distributional Smoothing with Virtual Adversarial Training", arXiv 1507.00677.
The loss is the negative log likelihood of the labelled samples minus `alpha` times the mean local distributional smoothness (LDS) of all
samples; the label -1 marks an unlabelled one. LDS is minus KL[p(x) || p(x + r)] for the worst `r` of length `epsilon`, which a power
iteration finds. A training step costs `num_power_iterations + 2` passes more than plain training.

Differences from the paper:
1. One batch holds labelled samples, first, and unlabelled ones. They pass through the classifier apart, as the two batches of the paper's
   code do: normalised together, the labels of MNIST's hundred digits teach nothing (accuracy 0.42 after 300 updates, 0.83 apart). LDS is
   then the mean over the second part, which is drawn from all samples. Batches of other datasets than `HalfLabelled` pass as one, and LDS
   is the mean over all of it, as where all labels are known.
2. `xi` is 1e-2 rather than 1e-6: in float32, `x + 1e-6 d` rounds to little more than `x`, and the found direction is mostly noise.
3. The passes behind LDS move no statistics. In `fit` they normalise by their own batch, as in the paper's code, and share one dropout mask;
   in `evaluate` and the verbs they are the function that `predict` uses.
4. Where the prediction does not depend on `x` at all, the random start is the direction.
5. The paper chooses `epsilon` on held-out labels for each experiment. The default, 0.3, is what its authors' code has for MNIST with 100
   labels (pixels in [0, 1], batch normalisation of every layer, the last one too); with all labels it has 2.1. A length of 2 is in that
   experiment worse than the labels alone; `docs/methods/vat.md` has the figures.
"""

from functools import cached_property, partial

import keras
import numpy as np
from keras import ops

from zoo import arguments, autodiff
from zoo.arguments import Inputs, checked
from zoo.families.half_labelled import HalfLabelled as HalfLabelled
from zoo.families.half_labelled import HalfLabelledModel
from zoo.families.wrapped_classifier import WrappedClassifier
from zoo.losses.virtual_adversarial import local_distributional_smoothness, virtual_adversarial_perturbation
from zoo.model import Field


class VAT(HalfLabelledModel, WrappedClassifier):
    """Virtual adversarial training of a classifier; `fit(x, label)` with labels of -1 for unlabelled samples.

    `call` and `predict` are the classifier's own.

    Args:
        classifier: any built Keras model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes.
        epsilon: length (L2 norm) of the perturbation, in the units of the input. The one hyperparameter to tune: 0.3 suits images in
            [0, 1] and networks with batch normalisation and few labels, where 2 can be worse than no VAT; with many labels take more.
        num_power_iterations: steps of the power iteration.
        xi: finite-difference step of the power iteration.
        alpha: weight of LDS (the paper's lambda).
        from_logits: whether the classifier gives logits instead of probabilities.
        labelled_per_batch: labelled samples of the batches that `fit` draws from arrays in which labels lack; 0: batches in any order.
        **kwargs: `name` and `dtype` of `zoo.Model`.
    """

    # samples of a batch where labels lack: 100 labelled and 250 others
    mixed_batch_size = 350

    def __init__(
        self, classifier, epsilon=0.3, num_power_iterations=1, xi=1e-2, alpha=1.0, from_logits=False, labelled_per_batch=100, **kwargs
    ):
        super().__init__(**kwargs)
        if epsilon < 0 or xi <= 0 or num_power_iterations < 0:
            raise ValueError(
                "`epsilon` and `num_power_iterations` must not be negative, `xi` must be positive. "
                f"Received: {epsilon}, {num_power_iterations}, {xi}"
            )
        self.labelled_per_batch = arguments.count("labelled_per_batch", labelled_per_batch, low=0)
        self._wrap(classifier, from_logits)
        self.epsilon = epsilon
        self.num_power_iterations = num_power_iterations
        self.xi = xi
        self.alpha = alpha
        self.seed_generator = keras.random.SeedGenerator()
        self.accuracy = keras.metrics.Mean("accuracy")
        self.nll = keras.metrics.Mean("nll")
        self.lds = keras.metrics.Mean("lds")
        self.compile()

    def call(self, x, training=False):
        """The classifier's output `(batch, classes)`, or `(batch, 1)`; in training, labelled and other samples are normalised apart."""
        if not (training and self._apart):
            return super().call(x, training=training)
        return ops.concatenate([super(VAT, self).call(part, training=True) for part in (x[: self._apart], x[self._apart :])], axis=0)

    def target_fields(self):
        """A class index, or -1 for an unlabelled sample."""
        return [Field("label", (), "int32", low=-1, high=self.num_classes - 1)]

    @classmethod
    def example_config(cls):
        """A small network of logits."""
        classifier = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(8, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(3, dtype="float32"),
            ]
        )
        return {"classifier": classifier, "epsilon": 0.7, "num_power_iterations": 2, "xi": 0.05, "alpha": 0.9, "from_logits": True}

    def example_calls(self):
        """A small valid call of every verb."""
        x = self.example_inputs()
        return {**super().example_calls(), "virtual_adversarial_perturbation": {"x": x}, "local_distributional_smoothness": {"x": x}}

    @classmethod
    def search_space(cls, hp):
        """`epsilon`, the one hyperparameter that the paper tunes, and the learning rate."""
        return {
            "epsilon": hp.Float("epsilon", 0.1, 10.0, sampling="log"),
            "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        }

    def default_optimizer(self):
        """Adam at 0.002, less a tenth after every 500 updates, as in the paper's MNIST experiments."""
        return keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(2e-3, 500, 0.9, staircase=True))

    def objective(self, x, y, y_pred, sample_weight, training):
        """Negative log likelihood of the labelled samples minus `alpha` times the mean LDS (equation 4)."""
        if y is None:
            raise ValueError("`label` must be given; -1 marks an unlabelled sample. Received: None")
        label = ops.cast(ops.reshape(y, (-1,)), "int32")
        labelled = ops.cast(label >= 0, "float32")
        weight = ops.ones_like(labelled) if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        log_p = self._log(y_pred)
        likelihood = ops.sum(ops.one_hot(label, self.num_classes, dtype="float32") * log_p, axis=-1)
        count = ops.sum(labelled)
        nll = -ops.sum(weight * labelled * likelihood) / ops.maximum(count, 1.0)
        others = slice(self._apart if training else 0, None)
        lds = ops.mean(weight[others] * self._smoothness(ops.cast(x[others], "float32"), training))
        self.accuracy.update_state(ops.equal(ops.argmax(log_p, axis=-1), ops.cast(label, "int64")), sample_weight=labelled)
        self.nll.update_state(nll, sample_weight=count)
        self.lds.update_state(lds, sample_weight=ops.shape(label[others])[0])
        return nll - self.alpha * lds

    # --- verbs ---

    @checked
    def virtual_adversarial_perturbation(self, x: Inputs) -> np.ndarray:
        """The step of length `epsilon` that changes each prediction most (section 3.2).

        Args:
            x: array `(batch, ...)`, as the classifier takes it.

        Returns:
            Array of the shape of `x`. It starts at random; on a flat or symmetric spot two calls may differ, above all in sign.
        """
        return ops.convert_to_numpy(self._compiled_perturbation(np.asarray(x, "float32")))

    @checked
    def local_distributional_smoothness(self, x: Inputs) -> np.ndarray:
        """LDS of each sample: minus the KL divergence (nats) that the virtual adversarial perturbation causes (equation 3).

        Args:
            x: array `(batch, ...)`, as the classifier takes it.

        Returns:
            Array `(batch,)`, at most 0; nearer 0 is smoother.
        """
        return ops.convert_to_numpy(self._compiled_smoothness(np.asarray(x, "float32")))

    def _perturbation(self, x, training=False):
        start = keras.random.normal(ops.shape(x), seed=self.seed_generator)
        function = partial(self._log_probabilities, training=training)
        clean = function(x)
        return virtual_adversarial_perturbation(function, x, clean, start, self.epsilon, self.xi, self.num_power_iterations), clean

    def _smoothness(self, x, training=False):
        perturbation, clean = self._perturbation(x, training)
        return local_distributional_smoothness(partial(self._log_probabilities, training=training), x, clean, perturbation)

    @cached_property
    def _compiled_perturbation(self):
        return autodiff.compiled(lambda x: self._perturbation(x)[0], self)

    @cached_property
    def _compiled_smoothness(self):
        return autodiff.compiled(self._smoothness, self)
