"""The reward of gymnasium's Pendulum-v1 as tensors, for methods that differentiate rewards."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class PendulumReward(keras.layers.Layer):
    """r(s, a, s') = -(angle^2 + 0.1 velocity^2 + 0.001 torque^2) of s = (cos angle, sin angle, velocity), before the step as in gymnasium.

    Args:
        max_torque: torques count as far as this.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, max_torque=2.0, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.max_torque = max_torque

    def call(self, observation, action, next_observation):
        """Rewards `(batch,)`."""
        angle = ops.arctan2(observation[:, 1], observation[:, 0])
        torque = ops.clip(action[:, 0], -self.max_torque, self.max_torque)
        return -(angle**2 + 0.1 * observation[:, 2] ** 2 + 0.001 * torque**2)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "max_torque": self.max_torque}
