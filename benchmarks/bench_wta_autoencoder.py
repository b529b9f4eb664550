"""Winner-take-all autoencoder against the PyTorch one that most people write: linear layers and `topk` along the batch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Both have 2000 units, a rate of 5 % and Adam, and train in
batches of 100 on the same digits.
"""

import numpy as np
import torch
from harness import Benchmark
from torch import nn

import zoo

UNITS, SHARE, ROWS, BATCH = 2000, 0.05, 2000, 100


class _Peer(nn.Module):
    """Dense winner-take-all autoencoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(784, UNITS), nn.Linear(UNITS, 784)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def features(self, x):
        return torch.relu(self.encoder(x))

    def epoch(self, x):
        for batch in torch.split(x, BATCH):
            code = self.features(batch)
            least = code.topk(round(SHARE * len(batch)), dim=0).values[-1:]
            loss = (self.decoder(code * (code >= least)) - batch).square().sum(1).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def encode(self, x):
        return self.features(x)


def main():
    """Time an epoch of training and features."""
    torch.set_num_threads(1)
    # before Keras loads TensorFlow, beside which torch cannot load what its optimizers need
    peer = _Peer()
    x = zoo.datasets.mnist()[0][0][:ROWS]
    ours, tensor = zoo.applications.WTAAutoencoder(), torch.as_tensor(np.ascontiguousarray(x.reshape(ROWS, -1)))
    benchmark = Benchmark("wta_autoencoder", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    work = {"work": ROWS, "unit": "images", "repeats": 3}
    benchmark.case("epoch of training, 2000 units", ours=lambda: ours.fit(x, verbose=0), peer=lambda: peer.epoch(tensor), **work)
    benchmark.case("features", ours=lambda: ours.encode(x), peer=lambda: peer.encode(tensor), **work)
    benchmark.report()


if __name__ == "__main__":
    main()
