"""Gradient descent with momentum whose steps are divided by the size of recent gradients.

Paper: Mahendran, Vedaldi 2015, "Visualizing Deep Convolutional Neural Networks Using Natural Pre-Images", arXiv 1512.02017, section 3.4.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class MomentumAdagrad(keras.optimizers.Optimizer):
    """The paper's variant of AdaGrad: the sum of squared gradients forgets, and the steps have momentum.

    With the gradient g, `G <- momentum G + g^2`, `m <- momentum m - g / (1 / learning_rate + sqrt(G))`, `x <- x + m`. Where gradients are
    small, this is descent at the learning rate; where they are large, their size hardly counts and a step is about 1.

    Args:
        learning_rate: a number, or a schedule of Keras.
        momentum: of the steps and of the sum, from 0 to less than 1.
        name: of the optimizer.
        **kwargs: of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: if `momentum` cannot be.
    """

    def __init__(self, learning_rate=1.0, momentum=0.9, name="momentum_adagrad", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be at least 0 and less than 1. Received: {momentum}")
        self.momentum = momentum

    def build(self, variables):
        """Make two accumulators for each variable."""
        if self.built:
            return
        super().build(variables)
        self._squares, self._steps = self.add_optimizer_variables(variables, ["squares", "steps"])

    def update_step(self, gradient, variable, learning_rate):
        """One step of one variable."""
        gradient, rate = ops.cast(gradient, variable.dtype), ops.cast(learning_rate, variable.dtype)
        place = self._get_variable_index(variable)
        squares, steps = self._squares[place], self._steps[place]
        self.assign(squares, self.momentum * squares + ops.square(gradient))
        self.assign(steps, self.momentum * steps - gradient / (1.0 / rate + ops.sqrt(squares)))
        self.assign_add(variable, steps)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum}
