"""Gaussian noise on the gradients of any Keras optimizer.

Paper: Neelakantan et al. 2015, "Adding Gradient Noise Improves Learning for Very Deep Networks", arXiv 1511.06807, section 3.
"""

import keras
from keras import ops

from zoo import autodiff


@keras.saving.register_keras_serializable("zoo")
class GradientNoise(keras.optimizers.Optimizer):
    """Adds noise from N(0, eta / (1 + t)^gamma) to each number of the gradient at step t, then lets `optimizer` take the step (equation 1).

    Gradients are clipped before the noise by the arguments here, and after it by those of `optimizer`. Everything else (learning rate,
    schedule, weight decay, averages of weights) is `optimizer`'s. The noise of a step is the same on all replicas.

    Args:
        optimizer: any Keras optimizer, or its name.
        eta: variance of the noise at the first step; the paper chooses among 0.01, 0.3 and 1.
        gamma: speed of its decay; 0 keeps the variance.
        clipnorm: largest norm of the gradient of one weight, before the noise.
        clipvalue: largest number in a gradient, before the noise.
        global_clipnorm: largest norm of the gradient of all weights, before the noise.
        seed: of the noise.
        name: of the optimizer.

    Raises:
        ValueError: if `eta` or `gamma` is negative.
    """

    def __init__(self, optimizer, eta=0.3, gamma=0.55, clipnorm=None, clipvalue=None, global_clipnorm=None, seed=None, name=None):
        if eta < 0 or gamma < 0:
            raise ValueError(f"`eta` and `gamma` must be at least 0. Received: {eta}, {gamma}")
        super().__init__(0.0, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm, name=name)
        self.optimizer, self.eta, self.gamma, self.seed = keras.optimizers.get(optimizer), eta, gamma, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._track_variable(self.seed_generator.state)

    def build(self, variables):
        """Make the variables of `optimizer`."""
        self.optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self):
        """Those of the noise and of `optimizer`."""
        return super().variables + self.optimizer.variables

    def apply(self, grads, trainable_variables=None):
        """Take a step with noisy gradients."""
        if not self.built:
            self.build(trainable_variables)
        # a table of embeddings has noise in all of its rows
        clipped = self._clip_gradients([None if g is None else ops.convert_to_tensor(g) for g in grads])
        scale = self.noise_scale(self.iterations) * (self.optimizer.loss_scale_factor or 1.0)
        self.optimizer.apply([None if g is None else g + self._noise(g, scale) for g in clipped], trainable_variables)

    def noise_scale(self, step):
        """Standard deviation of the noise at a step, counted from 0."""
        return ops.sqrt(self.eta / (1.0 + ops.cast(step, "float32")) ** self.gamma)

    def _noise(self, gradient, scale):
        noise = scale * keras.random.normal(ops.shape(gradient), dtype="float32", seed=self.seed_generator)
        # replicas add up their gradients
        return ops.cast(autodiff.per_replica(noise), gradient.dtype)

    @property
    def learning_rate(self):
        """That of `optimizer`."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.optimizer.learning_rate = value

    @property
    def iterations(self):
        """Steps that `optimizer` took."""
        return self.optimizer.iterations

    def scale_loss(self, loss):
        """The loss as `optimizer` scales it."""
        return self.optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        """What `optimizer` does at the end of training."""
        self.optimizer.finalize_variable_values(var_list)

    def get_config(self):
        """The constructor's arguments."""
        names = ("eta", "gamma", "clipnorm", "clipvalue", "global_clipnorm", "seed", "name")
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild from `get_config`."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer": optimizer})
