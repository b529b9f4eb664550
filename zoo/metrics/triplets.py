"""Evaluation of vectors by triplets (Dai, Olah, Le 2015, "Document Embedding with Paragraph Vectors", arXiv 1507.07998, section 3)."""

import numpy as np
from sklearn.preprocessing import normalize


def triplet_accuracy(anchor, near, far):
    """Share of triplets in which the cosine of `anchor` and `near` is larger than that of `anchor` and `far`; ties count half.

    Args:
        anchor: vectors `(n, dim)`, an array or a scipy sparse matrix.
        near: vectors `(n, dim)` that should be closer.
        far: vectors `(n, dim)` that should be farther away.
    """
    if not anchor.shape == near.shape == far.shape or len(anchor.shape) != 2 or not anchor.shape[0]:
        raise ValueError(f"`anchor`, `near` and `far` must have one shape (n, dim). Received: {anchor.shape}, {near.shape}, {far.shape}")
    anchor, near, far = (normalize(vectors) for vectors in (anchor, near, far))
    margin = np.asarray((anchor.multiply(near - far) if hasattr(anchor, "multiply") else anchor * (near - far)).sum(axis=1))
    return float(np.mean((margin > 0) + 0.5 * (margin == 0)))
