"""A weights file of the layout of Keras's `vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5`, with random numbers."""

import h5py
import numpy as np

CHANNELS = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)


def write(path, seed=0):
    """Write the file; returns its path as a string."""
    rng, before = np.random.default_rng(seed), 3
    with h5py.File(path, "w") as file:
        names = []
        for b, block in enumerate(CHANNELS, 1):
            for i, channels in enumerate(block, 1):
                name = f"block{b}_conv{i}"
                names.append(name)
                group = file.create_group(name)
                group.attrs["weight_names"] = np.array([f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()])
                kernel = rng.standard_normal((3, 3, before, channels), "float32") * np.float32((2 / 9 / before) ** 0.5)
                group[f"{name}_W_1:0"] = kernel
                group[f"{name}_b_1:0"] = rng.standard_normal(channels, "float32") * np.float32(0.1)
                before = channels
            names.append(f"block{b}_pool")
            file.create_group(names[-1]).attrs["weight_names"] = np.array([], "S1")
        file.attrs["layer_names"] = np.array([name.encode() for name in names])
    return str(path)
