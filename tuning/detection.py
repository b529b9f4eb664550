"""Search dense layer, dropout and learning rate of a small DDFD on crops with and without faces."""

import numpy as np

from zoo import applications, datasets, tuning


def main():
    """Search by the accuracy on held-out crops."""
    args = tuning.arguments(__doc__)
    windows, faces = datasets.lfw_subset()
    order = np.random.default_rng(0).permutation(len(windows))
    train, held_out = ((windows[part][..., None], faces[part]) for part in (order[:150], order[150:]))
    data = {"x": train[0], "y": train[1], "batch_size": 25}
    network = {"window": 25, "in_channels": 1, "filters": (8, 16), "kernels": (5, 3), "first_stride": 1, "pools": (0, 1)}
    network |= {"normalized": (), "groups": 1, "padding": "valid"}
    tuning.search(applications.DDFD, data, held_out, objective="val_accuracy", **network, **args.settings).show()


if __name__ == "__main__":
    main()
