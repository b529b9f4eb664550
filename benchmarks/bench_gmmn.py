"""Maximum mean discrepancy in blocks against the full matrices that other code holds: a step's value and gradient, and their memory.

    python benchmarks/bench_gmmn.py
    python benchmarks/bench_gmmn.py --peer /path/to/python      another Python, with PyTorch, adds the same step in PyTorch

The full matrix is what public GMMNs compute: one matrix of the squared distances of all samples, one exponential a bandwidth, and automatic
differentiation. Memory is the peak of a process of its own, less that of one that computes a tiny case.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

IMAGES, CODES = (2, 5, 10, 20, 40, 80), (1, 2, 5, 10, 20, 40)
# samples in each set, numbers a sample, bandwidths
SIZES = {"images, 1000": (1000, 784, IMAGES), "codes, 1000": (1000, 32, CODES), "codes, 4000": (4000, 32, CODES)}
TORCH = """
import json, sys, time
import numpy as np, torch
torch.set_num_threads(1)
n, d, bandwidths, repeats = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x, y = (torch.tensor(rng.uniform(size=(n, d)).astype("float32")) for _ in range(2))
y.requires_grad_()
w = torch.cat([torch.full((n,), 1 / n), torch.full((n,), -1 / n)])
times = []
for _ in range(repeats + 1):
    start = time.perf_counter()
    p = torch.cat([x, y])
    s = (p * p).sum(1)
    distances = s[:, None] - 2 * p @ p.T + s
    loss = sum(w @ torch.exp(-distances / (2 * b)) @ w for b in bandwidths).clamp(min=1e-10).sqrt()
    gradient, = torch.autograd.grad(loss, y)
    times.append(time.perf_counter() - start)
print(sorted(times[1:])[repeats // 2])
"""


def step(name, n, d, bandwidths):
    """A compiled function without arguments: the root of the discrepancy and its gradient, `"blocks"` or `"full"`."""
    from keras import layers, ops

    from zoo import autodiff, losses

    rng = np.random.default_rng(0)
    x, y = (rng.uniform(size=(n, d)).astype("float32") for _ in range(2))
    signed = np.repeat([1 / n, -1 / n], n).astype("float32")

    def full(y):
        p = ops.concatenate([x, y])
        squares = ops.sum(ops.square(p), 1)
        distances = squares[:, None] - 2 * ops.matmul(p, ops.transpose(p)) + squares
        kernels = sum(ops.exp(-distances / (2 * b)) for b in bandwidths)
        return ops.sqrt(ops.maximum(ops.sum(signed[:, None] * kernels * signed), 1e-10))

    def blocks(y):
        return losses.maximum_mean_discrepancy(x, y, bandwidths, square_root=True)

    layer = layers.Dense(1)
    layer.build((None, 1))
    run = autodiff.compiled(lambda y: autodiff.value_and_grad({"full": full, "blocks": blocks}[name], y), layer)
    return lambda: [ops.convert_to_numpy(v) for v in run(y)]


def peak(name, n, d, bandwidths):
    """Peak memory of a process that makes one step, in MB."""
    command = [sys.executable, __file__, "--one", json.dumps([name, n, d, bandwidths])]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main():
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="a Python with PyTorch")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        step(*json.loads(args.one))()
        # not `ru_maxrss`, which begins with what the parent holds
        status = Path("/proc/self/status").read_text().split()
        print(int(status[status.index("VmHWM:") + 1]) / 1024)
        return
    from harness import Benchmark

    benchmark = Benchmark("gmmn", peer="full matrices in Keras")
    for title, (n, d, bandwidths) in SIZES.items():
        ours, full = (step(name, n, d, bandwidths) for name in ("blocks", "full"))
        for a, b in zip(ours(), full()):
            np.testing.assert_allclose(a, b, rtol=2e-2, atol=1e-3 * np.abs(b).max())
        benchmark.case(title, ours, full, n, "samples")
        tiny = peak("blocks", 8, 2, bandwidths)
        memory = {name: round(peak(name, n, d, bandwidths) - tiny) for name in ("blocks", "full")}
        benchmark.cases[-1]["memory_mb"] = memory
        print(f"  memory: {memory['blocks']} MB in blocks, {memory['full']} MB in full")
        if args.peer:
            command = [args.peer, "-c", TORCH, json.dumps([n, d, bandwidths, 7])]
            seconds = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            benchmark.cases[-1]["pytorch_seconds"] = seconds
            print(f"  PyTorch, full matrices: {n / seconds:,.0f} samples/s")
    benchmark.report()


if __name__ == "__main__":
    main()
