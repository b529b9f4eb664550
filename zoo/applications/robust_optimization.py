"""Robust optimization: a classifier learns from the worst samples in an uncertainty set around each of its samples.

Paper: Shaham, Yamada, Negahban 2015, "Understanding Adversarial Training: Increasing Local Stability of Neural Nets through Robust
Optimization", arXiv 1511.05432. The objective is min over weights of the sum over samples of the largest loss in U_i, a ball of the l1,
l2 or linf norm. Each minibatch alternates: one ascent step on the samples (the closed-form maximiser of the linearised loss), one descent
step on the weights, which sees the moved samples only.

`StrongAdversary` has the same objective in another paper's hands. There the adversary may also act on a hidden layer, follow the way to
the nearest class, and share the loss with the clean samples; here it acts on the input within its limits, and the network sees no others.

Shapes: input as the classifier takes it -> the classifier's output `(batch, classes)` or `(batch, 1)`.

Differences from the paper:
1. Moved samples are cut off at `low` and `high`. With both, the l1 step is the best in ball and box: what does not fit into the most
   important number goes to the next one.
2. `num_steps` above 1 solves the inner problem better, by projected gradient ascent.
3. The adversary attacks the network as `predict` uses it. Batch statistics move with the clean pass, which Keras's metrics need, and with
   the pass over the moved samples.
4. The radius has a default for pixels in [0, 1]; the best one depends on data and norm.
"""

from zoo.families.adversarial_training import AdversarialTraining


class RobustOptimization(AdversarialTraining):
    """Any classifier, trained on the worst samples around its own; `fit(x, label)`.

    `call` and `predict` are the classifier's own. The metric `accuracy` is that on the samples, `attacked_accuracy` on the moved ones.

    Args:
        classifier: any built Keras model from one float array to `(batch, classes)`, or to `(batch, 1)` for two classes.
        epsilon: radius of the uncertainty set, in the units of the input.
        norm: `"l1"`, `"l2"` or `"linf"`.
        num_steps: ascent steps a minibatch; 1 is the paper's.
        step_size: length of a step if there are several; `None` means 2.5 radii over all steps.
        low: smallest legal number of the input, or `None`.
        high: largest legal number of the input, or `None`.
        from_logits: whether the classifier gives logits instead of probabilities.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if the classifier cannot be wrapped, or an argument is out of range.
    """

    def __init__(self, classifier, epsilon=0.1, norm="linf", num_steps=1, step_size=None, low=0.0, high=1.0, from_logits=False, **kwargs):
        super().__init__(**kwargs)
        self._arm(classifier, from_logits, epsilon, norm, num_steps, step_size, low, high)
        self.compile()

    @classmethod
    def example_config(cls):
        """A small network, and two steps in l2."""
        return {**super().example_config(), "epsilon": 0.3, "norm": "l2", "num_steps": 2, "step_size": 0.2}
