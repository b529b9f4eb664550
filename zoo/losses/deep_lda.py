"""The objective of deep LDA: raise the smallest eigenvalues of linear discriminant analysis on a batch of features.

Paper: Dorfer, Kelz, Widmer 2015, "Deep Linear Discriminant Analysis", arXiv 1511.04707, section 3.

The eigenvalues solve `S_b e = v (S_w + lambda I) e`. `S_w` is the mean of the classes' covariances, `S_t` the covariance of all features,
and `S_b = S_t - S_w`. Covariances divide by their count less one, so that `S_b` has small negative eigenvalues beside the C - 1 of LDA.

The problem is whitened, `L L^T = S_w + lambda I`, and a symmetric solver decomposes `L^-1 S_b L^-T`. Neither the factorisation nor the
solver is differentiated: with fixed eigenvectors, normed to `e^T (S_w + lambda I) e = 1`, the value
`v + e^T S_b e - v e^T (S_w + lambda I) e`, whose last terms sum to zero, has the exact gradient `e^T (dS_b - v dS_w) e`.
It stays finite where eigenvalues coincide.

Two public implementations differ. The authors' (Theano) has the objective above. A later one for Keras, which says that it adopts it,
returns the trace of `S_t^-1 S_b` over all eigenvalues before it comes to the eigenvalues; an earlier version of it takes them against `S_t`
instead of `S_w`. These are `v / (1 + v)`, all below 1, so that a margin of 1 chooses every one of them, and the objective rests once the
large ones have come near 1. The authors' is right; the tests of zoo compare the three.
"""

import keras
from keras import ops


def lda_statistics(features, labels, num_classes, sample_weight=None):
    """Class means and scatter matrices of labelled features (equations 1 to 4).

    Args:
        features: `(n, d)`.
        labels: classes below `num_classes`, `(n,)`; other values take no part.
        num_classes: number of classes C.
        sample_weight: `(n,)`, how often each example counts; `None` means once.

    Returns:
        `means` `(C, d)`, `within` S_w `(d, d)`, `between` S_b `(d, d)`, and `counts` `(C,)`, float32. A class without examples has the mean
        zero; one with fewer than two does not enter S_w.
    """
    features = ops.cast(features, "float32")
    members = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), num_classes, dtype="float32")
    if sample_weight is not None:
        members = members * ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
    counts = ops.sum(members, axis=0)
    total = ops.sum(counts)
    means = ops.matmul(ops.transpose(members), features) / ops.maximum(counts, 1e-6)[:, None]
    # the share of one of its examples in the mean of the class covariances
    has_covariance = ops.cast(counts > 1, "float32")
    share = has_covariance / ops.maximum(counts - 1, 1e-6) / ops.maximum(ops.sum(has_covariance), 1)
    weight = ops.sum(members, axis=1)
    within = _scatter(features - ops.matmul(ops.cast(members > 0, "float32"), means), ops.matmul(members, share[:, None]))
    centre = ops.sum(weight[:, None] * features, axis=0) / ops.maximum(total, 1e-6)
    complete = _scatter(features - centre, weight[:, None] / ops.maximum(total - 1, 1e-6))
    return means, within, complete - within, counts


def lda_eigen(within, between, regularization=1e-3):
    """Eigenvalues and eigenvectors of `S_b e = v (S_w + lambda I) e`. Eigenvalues have exact gradients, eigenvectors none.

    Args:
        within: S_w, `(d, d)`.
        between: S_b, `(d, d)`.
        regularization: lambda.

    Returns:
        Eigenvalues `(d,)`, ascending, and eigenvectors `(d, d)` in columns, normed to `e^T (S_w + lambda I) e = 1`.
    """
    # besides lambda, what rounding takes from a matrix of large entries
    rounding = 1e-6 * ops.stop_gradient(ops.mean(ops.diagonal(within)))
    within = within + (regularization + rounding) * ops.eye(within.shape[-1])
    fixed_within, fixed_between = ops.stop_gradient(within), ops.stop_gradient(between)
    root = ops.cholesky(fixed_within)
    half = ops.solve_triangular(root, fixed_between, lower=True)
    whitened = ops.solve_triangular(root, ops.transpose(half), lower=True)
    values, vectors = ops.eigh(0.5 * (whitened + ops.transpose(whitened)))
    vectors = ops.solve_triangular(ops.transpose(root), vectors, lower=False)
    values, vectors = ops.stop_gradient(values), ops.stop_gradient(vectors)
    raised = _along(vectors, between) - values * _along(vectors, within)
    return values + raised - ops.stop_gradient(raised), vectors


def deep_lda_loss(features, labels, num_classes, regularization=1e-3, epsilon=1.0, sample_weight=None):
    """Minus the mean of the smallest of the C - 1 eigenvalues: of those not above the least one by more than `epsilon` (equation 10).

    With classes absent from the batch, C counts those that are there. Of fewer than two classes the loss is zero.

    Args:
        features: `(batch, d)`; let the batch be large (1000 in the paper), several times d and the number of classes.
        labels: classes, `(batch,)`.
        num_classes: number of classes.
        regularization: lambda, added to the diagonal of S_w.
        epsilon: width of the band of eigenvalues that are raised.
        sample_weight: `(batch,)`, how often each example counts; 0 leaves it out.

    Returns:
        A scalar, float32.
    """
    _, within, between, counts = lda_statistics(features, labels, num_classes, sample_weight)
    values, _ = lda_eigen(within, between, regularization)
    size = values.shape[-1]
    components = ops.minimum(ops.sum(ops.cast(counts > 0, "int32")) - 1, size)
    discriminates = ops.arange(size) >= size - components
    least = ops.min(ops.where(discriminates, values, float("inf")))
    chosen = ops.cast(ops.logical_and(discriminates, values <= ops.stop_gradient(least) + epsilon), "float32")
    return -ops.sum(chosen * values) / ops.maximum(ops.sum(chosen), 1.0)


@keras.saving.register_keras_serializable("zoo")
class DeepLDALoss(keras.Loss):
    """`deep_lda_loss` for `compile`: labels against the features that any network gives.

    Args:
        num_classes: number of classes.
        regularization: lambda, added to the diagonal of S_w.
        epsilon: width of the band of eigenvalues that are raised.
        name: of `keras.Loss`.
        **kwargs: of `keras.Loss`.
    """

    def __init__(self, num_classes, regularization=1e-3, epsilon=1.0, name="deep_lda_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_classes, self.regularization, self.epsilon = num_classes, regularization, epsilon

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch, a scalar; `sample_weight` says how often each example counts."""
        return deep_lda_loss(y_pred, y_true, self.num_classes, self.regularization, self.epsilon, sample_weight)

    def call(self, y_true, y_pred):
        """The loss of a batch, a scalar."""
        return self(y_true, y_pred)

    def get_config(self):
        """The constructor's arguments."""
        own = {"num_classes": self.num_classes, "regularization": self.regularization, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


def _scatter(centred, weight):
    return ops.matmul(ops.transpose(centred), weight * centred)


def _along(vectors, matrix):
    """`e^T M e` of each column e."""
    return ops.sum(vectors * ops.matmul(matrix, vectors), axis=0)
