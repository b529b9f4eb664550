"""How good samples of a generative model are: density by windows, scores by a classifier's eyes, coverage, precision, divergences."""

import numpy as np
from scipy import linalg, optimize, spatial, special

from zoo.arguments import as_array, count, listed, number, numbers

# distances that are held at a time
BLOCK = 2**24
# images for which samples are drawn at a time
ROWS = 20
# of images in [0, 1], as papers search them
BANDWIDTHS = tuple(np.logspace(-1, 0, 10))


def parzen_log_likelihood(samples, x, sigma):
    """Log-density of data under Gaussian windows around samples (Breuleux et al. 2011; Goodfellow et al. 2014).

    A score for models without a density. It favours samples that copy the training data and says little in many dimensions; compare it
    with that of as many training images.

    Args:
        samples: of the model, `(m, ...)`.
        x: held-out data, `(n, ...)` of the same shape.
        sigma: standard deviation of the windows, chosen on validation data (`parzen_bandwidth`).

    Returns:
        Array `(n,)` in nats; its mean is what papers report, its standard error over `n` the interval.

    Raises:
        ValueError: if shapes differ, or `sigma` is not positive.
    """
    samples, x = _rows("samples", samples, "x", x)
    sigma = number("sigma", sigma, above=0)
    m, dim = samples.shape
    rows = max(1, BLOCK // m)
    blocks = (_square_distances(x[i : i + rows], samples) for i in range(0, len(x), rows))
    found = np.concatenate([special.logsumexp(-block / (2 * sigma**2), axis=1) for block in blocks])
    return found - np.log(m) - dim * np.log(sigma * np.sqrt(2 * np.pi))


def parzen_bandwidth(samples, x, sigmas=BANDWIDTHS):
    """The window's standard deviation under which validation data is most likely.

    Args:
        samples: of the model, `(m, ...)`.
        x: validation data, `(n, ...)`; not what is reported.
        sigmas: candidates.

    Returns:
        The best of `sigmas`.

    Raises:
        ValueError: if shapes differ, or a candidate is not positive.
    """
    candidates = [number("sigmas", sigma, above=0) for sigma in listed("sigmas", sigmas, "a list of positive numbers")]
    return max(candidates, key=lambda sigma: parzen_log_likelihood(samples, x, sigma).mean())


def multiscale_parzen_log_likelihood(x, coarse, refine, sigmas):
    """Log-density of images under Gaussian windows at each scale (Denton et al. 2015, section 4.1).

    An image is split into the means of blocks of 2 x 2 pixels and, in an orthonormal basis, what these leave out: `log p(I)` is the sum of
    `log q(details | means)` over the scales and of `log q(means)` at the coarsest. Details are those of samples that are drawn for the
    image's own means, so that each conditional density integrates to one. It favours no detail at all over wrong detail: compare it with
    that of samples without any.

    Args:
        x: held-out images `(n, height, width, channels)`.
        coarse: samples of the smallest images, `(m, height >> scales, ...)`.
        refine: function of means `(rows, height, width, channels)`; gives `(rows, draws, 2 * height, 2 * width, channels)`, samples of
            images of twice the size, or `(1, draws, ...)`, which then stand for all rows. Their own means are not looked at.
        sigmas: standard deviations of the windows, coarsest first, in units of pixels of their scale; as many as scales and one more.

    Returns:
        Array `(n,)` in nats, of the density over all pixels, to be compared with `parzen_log_likelihood`.

    Raises:
        ValueError: if shapes do not fit or a sigma is not positive.
    """
    sigmas = [float(sigma) for sigma in sigmas]
    if not sigmas or not all(sigma > 0 for sigma in sigmas):
        raise ValueError(f"`sigmas` must be positive numbers. Received: {sigmas}")
    found = 0.0
    for windows, sigma in zip(_windows(x, coarse, refine, len(sigmas) - 1), sigmas):
        found = found + windows(sigma)
    return found


def multiscale_parzen_bandwidths(x, coarse, refine, scales, sigmas=BANDWIDTHS):
    """The windows under which validation images are most likely, each scale by itself; see `multiscale_parzen_log_likelihood`.

    Args:
        x: validation images, not those that are reported.
        coarse: as there.
        refine: as there.
        scales: how often images are halved.
        sigmas: candidates.

    Returns:
        A tuple of `scales + 1` floats, coarsest first.
    """
    return tuple(float(max(sigmas, key=lambda sigma: windows(sigma).mean())) for windows in _windows(x, coarse, refine, scales))


def frechet_distance(real, generated):
    """Squared distance of the Gaussians that have the means and covariances of two sets of features (Heusel et al. 2017, equation 6).

    With Inception's features this is FID. It shrinks as samples grow in number: compare sets of equal size alone, larger than the features.

    Args:
        real: features of real data, `(n, features)`.
        generated: features of samples, `(m, features)`.

    Returns:
        A float, 0 for equal means and covariances.

    Raises:
        ValueError: if the numbers of features differ or a set has fewer than two rows.
    """
    real, generated = _rows("real", real, "generated", generated)
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"`real` and `generated` must have at least two rows. Received: {len(real)} and {len(generated)}")
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, generated)]
    # the trace of (A B)^(1/2) from the eigenvalues of A^(1/2) B A^(1/2), which are real and not negative
    root = linalg.sqrtm(covariances[0] + 1e-12 * np.eye(real.shape[1])).real
    cross = np.sqrt(np.clip(linalg.eigvalsh(root @ covariances[1] @ root), 0, None)).sum()
    return float(np.square(real.mean(0) - generated.mean(0)).sum() + sum(np.trace(c) for c in covariances) - 2 * cross)


def classifier_score(probabilities):
    """The inception score for any classifier: `exp E KL(p(y | x) || p(y))` (Salimans et al. 2016), 1 to the number of classes.

    High where each sample looks like one class and all classes come equally often; blind to anything else.

    Args:
        probabilities: of the classes for each sample, `(n, classes)`, rows that sum to one.

    Returns:
        A float.

    Raises:
        ValueError: if rows do not sum to one.
    """
    p = numbers("probabilities", probabilities).astype("float64")
    if p.ndim != 2 or np.any(p < 0) or not np.allclose(p.sum(1), 1, atol=1e-3):
        raise ValueError(f"`probabilities` must be (n, classes) with rows that sum to one. Received: shape {p.shape}")
    return float(np.exp(special.rel_entr(p, p.mean(0)).sum(1).mean()))


def mode_coverage(samples, centres, radius):
    """Which modes of a known mixture are sampled, and which samples are near a mode.

    Args:
        samples: `(m, ...)`.
        centres: of the modes, `(k, ...)`.
        radius: largest distance of a sample from the centre of its mode, such as three standard deviations.

    Returns:
        (share of modes with at least one sample in their radius, share of samples in the radius of a mode).

    Raises:
        ValueError: if shapes differ, or `radius` is negative.
    """
    samples, centres = _rows("samples", samples, "centres", centres)
    radius = number("radius", radius, low=0)
    distances = _square_distances(samples, centres)
    near = distances.min(1) <= radius**2
    return len(np.unique(distances.argmin(1)[near])) / len(centres), float(near.mean())


def wasserstein_distance(x, y):
    """Exact 1-Wasserstein distance of two sets of equal size: the mean length of the cheapest pairing, by the Hungarian method.

    For sets of equal size this is `scipy.stats.wasserstein_distance_nd`, whose linear program takes 0.7 s for 200 samples where this takes
    2 ms. Two sets of one distribution are apart as well, the further the fewer samples: compare with that.

    Args:
        x: `(n, ...)`.
        y: `(n, ...)`, as many of the same shape.

    Returns:
        A float, in the unit of the samples.

    Raises:
        ValueError: if shapes differ.
    """
    x, y = _rows("x", x, "y", y)
    if len(x) != len(y):
        raise ValueError(f"`y` must have as many rows as `x`, {len(x)}. Received: {len(y)}")
    distances = spatial.distance.cdist(x, y)
    return float(distances[optimize.linear_sum_assignment(distances)].mean())


def cluster_labels(probabilities, labels):
    """The label of each cluster: that of the sample which belongs to it most surely (Makhzani et al. 2015, section 6).

    Args:
        probabilities: of the clusters for some samples with labels, `(n, clusters)`.
        labels: `(n,)`.

    Returns:
        Array `(clusters,)` of labels; `cluster_labels(p, y)[p_test.argmax(1)]` are the predictions whose error papers report.

    Raises:
        ValueError: if lengths differ.
    """
    probabilities, labels = numbers("probabilities", probabilities), as_array("labels", labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(f"`labels` must have one entry for each row of `probabilities`. Received: {labels.shape}, {probabilities.shape}")
    return labels[probabilities.argmax(axis=0)]


def precision_recall(real, generated, neighbours=3):
    """How many samples lie where data is, and how much of the data lies where samples are (Kynkaanniemi et al. 2019, equations 1 and 2).

    Where a set is, balls around its points tell, each as large as the distance to its k-th neighbour in the set. Both numbers depend on the
    sizes of the sets: compare sets of equal size alone.

    Args:
        real: features of real data, `(n, features)`.
        generated: features of samples, `(m, features)`.
        neighbours: k.

    Returns:
        (precision, recall), the share of samples inside a ball of real data and the share of real data inside a ball of samples.

    Raises:
        ValueError: if the numbers of features differ or a set has no k-th neighbour.
    """
    real, generated = _rows("real", real, "generated", generated)
    neighbours = count("neighbours", neighbours)
    if neighbours >= min(len(real), len(generated)):
        raise ValueError(f"`neighbours` must be at least 1 and less than the rows of both sets. Received: {neighbours}")
    between = _square_distances(generated, real)
    radii = [np.partition(_square_distances(a, a), neighbours, axis=1)[:, neighbours] for a in (real, generated)]
    return float((between <= radii[0]).any(1).mean()), float((between <= radii[1][:, None]).any(0).mean())


def jensen_shannon_divergence(p, q, pi=0.5):
    """JS_pi = pi KL[P||M] + (1 - pi) KL[Q||M] with M = pi P + (1 - pi) Q (Huszar 2015, equation 11), of distributions over the same cells.

    Between 0 and the entropy of a coin with probability `pi`. JS_pi / pi tends to KL[P||Q] for `pi` to 0, JS_pi / (1 - pi) to KL[Q||P] for
    `pi` to 1.

    Args:
        p: probabilities that sum to one, any shape: of symbols, or of the cells of a grid.
        q: the same of the other distribution.
        pi: the prior of `p`, between 0 and 1.

    Returns:
        Nats, a float.

    Raises:
        ValueError: if shapes differ, an array does not sum to one, or `pi` is out of range.
    """
    p, q = (numbers(name, value).astype("float64") for name, value in (("p", p), ("q", q)))
    if p.shape != q.shape or min(p.min(), q.min()) < 0 or not np.allclose([p.sum(), q.sum()], 1, atol=1e-3):
        raise ValueError(f"`p` and `q` must be probabilities of one shape that sum to one. Received: shapes {p.shape} and {q.shape}")
    if not 0 < number("pi", pi) < 1:
        raise ValueError(f"`pi` must be more than 0 and less than 1. Received: {pi}")
    mean = pi * p + (1 - pi) * q
    return float(pi * special.rel_entr(p, mean).sum() + (1 - pi) * special.rel_entr(q, mean).sum())


def _rows(first, a, second, b):
    """Both as float64 rows of finite numbers."""
    a, b = numbers(first, a), numbers(second, b)
    if a.ndim < 1 or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"`{first}` and `{second}` must have rows of one shape. Received: {a.shape} and {b.shape}")
    return a.reshape(len(a), -1).astype("float64"), b.reshape(len(b), -1).astype("float64")


def _square_distances(a, b):
    return np.clip(np.square(a).sum(1)[:, None] - 2 * a @ b.T + np.square(b).sum(1), 0, None)


def _windows(x, coarse, refine, scales):
    """For each scale, coarsest first, a function of sigma that gives the log-densities `(n,)` of what that scale adds."""
    images = [as_array("x", x).astype("float64")]
    side = 2**scales
    if images[0].ndim != 4 or any(n % side for n in images[0].shape[1:3]):
        raise ValueError(f"`x` must be images (n, height, width, channels), sides divisible by {side}. Received: {images[0].shape}")
    for _ in range(scales):
        images.append(_means_and_details(images[-1])[0])
    # a change of unit: the orthonormal means of k halvings are 2 ** k times the plain ones
    images, volume = images[::-1], np.log(2)
    smallest, coarse = images[0], as_array("coarse", coarse)
    yield lambda sigma: parzen_log_likelihood(coarse, smallest, sigma) - smallest[0].size * scales * volume
    for halvings, means, image in zip(range(scales - 1, -1, -1), images, images[1:]):
        details = _means_and_details(image)[1]
        squares = _squares_to_samples(details, means, refine)

        def windows(sigma, squares=squares, dim=details.shape[1], halvings=halvings):
            found = special.logsumexp(-squares / (2 * sigma**2), axis=1) - np.log(squares.shape[1])
            return found - dim * (np.log(sigma * np.sqrt(2 * np.pi)) + halvings * volume)

        yield windows


def _squares_to_samples(details, means, refine):
    """Squared distances `(n, draws)` of details to those of samples that are drawn for the means."""
    found = []
    for start in range(0, len(means), ROWS):
        rows = means[start : start + ROWS].astype("float32")
        samples = np.asarray(refine(rows))
        expected = (2 * rows.shape[1], 2 * rows.shape[2], rows.shape[3])
        if samples.ndim != 5 or len(samples) not in (1, len(rows)) or samples.shape[2:] != expected:
            raise ValueError(f"`refine` must give (rows, draws, {', '.join(map(str, expected))}). Received: {samples.shape}")
        drawn = _means_and_details(samples.reshape(-1, *expected).astype("float64"))[1].reshape(*samples.shape[:2], -1)
        found.append(np.square(details[start : start + ROWS, None] - drawn).sum(-1))
    return np.concatenate(found)


def _means_and_details(images):
    """Means of blocks of 2 x 2 pixels `(n, h, w, channels)`, and in an orthonormal basis what they leave out, `(n, 3 h w channels)`."""
    a, b, c, d = (images[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    details = np.stack([a + b - c - d, a - b + c - d, a - b - c + d]) / 2
    return (a + b + c + d) / 4, np.moveaxis(details, 0, 1).reshape(len(images), -1)
