"""MADE against the PyTorch one that most people write: masked linear layers, and a pass through the network for each pixel of a sample.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Both have one hidden layer of 500 units, direct connections
and AdaGrad, and train in batches of 100 on the same random bits.
"""

import numpy as np
import torch
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo

DIMENSIONS, UNITS, ROWS, MASKS, DRAWN = 784, 500, 3000, 8, 16


class _MaskedLinear(nn.Linear):
    """A linear layer with a mask in a buffer."""

    def __init__(self, before, after, bias=True):
        super().__init__(before, after, bias)
        self.register_buffer("mask", torch.ones(after, before))

    def forward(self, x):
        return functional.linear(x, self.weight * self.mask, self.bias)


class _Peer(nn.Module):
    """Masked autoencoder with a list of masks; `use` puts one of them in."""

    def __init__(self, seed=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.hidden, self.out = _MaskedLinear(DIMENSIONS, UNITS), _MaskedLinear(UNITS, DIMENSIONS)
        self.shortcut = _MaskedLinear(DIMENSIONS, DIMENSIONS, bias=False)
        self.masks = [(rng.permutation(DIMENSIONS) + 1, rng.integers(1, DIMENSIONS, UNITS)) for _ in range(MASKS)]
        self.optimizer = torch.optim.Adagrad(self.parameters(), 0.01)

    def use(self, mask):
        places, degrees = (torch.as_tensor(a) for a in self.masks[mask])
        self.hidden.mask.copy_(degrees[:, None] >= places[None])
        self.out.mask.copy_(places[:, None] > degrees[None])
        self.shortcut.mask.copy_(places[:, None] > places[None])

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x))) + self.shortcut(x)

    def nats(self, x):
        return functional.binary_cross_entropy_with_logits(self(x), x, reduction="none").sum(1)

    def epoch(self, x):
        for step, batch in enumerate(torch.split(x, 100)):
            self.use(step % MASKS)
            self.optimizer.zero_grad()
            self.nats(batch).mean().backward()
            self.optimizer.step()

    @torch.no_grad()
    def log_likelihood(self, x):
        rows = []
        for mask in range(MASKS):
            self.use(mask)
            rows.append(-self.nats(x))
        return torch.logsumexp(torch.stack(rows), 0) - np.log(MASKS)

    @torch.no_grad()
    def sample(self, n):
        self.use(0)
        x = torch.zeros(n, DIMENSIONS)
        for d in np.argsort(self.masks[0][0]):
            x[:, d] = torch.bernoulli(torch.sigmoid(self(x)[:, d]))
        return x


def main():
    """Time an epoch of training, likelihoods under all masks, and samples."""
    torch.set_num_threads(1)
    x = (np.random.default_rng(0).random((ROWS, DIMENSIONS)) < 0.2).astype("float32")
    ours, peer, tensor = zoo.applications.MADE(masks=MASKS), _Peer(), torch.as_tensor(x)
    ours.compile(jit_compile=True)
    benchmark = Benchmark("made", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    benchmark.case(
        f"epoch of training, {MASKS} masks in turn, batches of 100",
        ours=lambda: ours.fit(x, verbose=0),
        peer=lambda: peer.epoch(tensor),
        work=ROWS,
        unit="rows",
        repeats=3,
    )
    benchmark.case(
        f"log-likelihoods under {MASKS} masks",
        ours=lambda: ours.log_likelihood(x[:1000]),
        peer=lambda: peer.log_likelihood(tensor[:1000]),
        work=1000,
        unit="rows",
        repeats=3,
    )
    benchmark.case(
        f"{DRAWN} samples of one mask",
        ours=lambda: ours.sample(DRAWN, mask=0, seed=0),
        peer=lambda: peer.sample(DRAWN),
        work=DRAWN,
        unit="samples",
        repeats=3,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
