"""Training of the adversarial autoencoder in zoo against the loop that one writes in PyTorch: the same networks, losses and batches."""

# torch comes before TensorFlow: the other way round the import of its compiler crashes
import torch
import torch._dynamo

# isort: split
from importlib.metadata import version

import numpy as np
from harness import Benchmark
from torch.nn.functional import softplus

from zoo.applications import AdversarialAutoencoder

UPDATES, BATCH, RATE, STD = 40, 100, 3e-4, 5.0


def layers(*sizes):
    """Linear layers with ReLU between them."""
    found = []
    for a, b in zip(sizes, sizes[1:]):
        found += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*found[:-1])


class Peer:
    """The three networks and their optimizers; one update as papers' code does it, all losses at the same point."""

    def __init__(self, model):
        sizes = (784, 1000, 1000, 8)
        self.encoder, self.decoder, self.discriminator = layers(*sizes), layers(*sizes[::-1]), layers(8, 1000, 1000, 1)
        for ours, theirs in ((model.encoder, self.encoder), (model.decoder, self.decoder), (model.discriminator, self.discriminator)):
            for values, parameter in zip(ours.get_weights(), theirs.parameters()):
                parameter.data = torch.tensor(values.T)
        outer = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizers = [torch.optim.Adam(p, RATE, betas=(0.5, 0.999)) for p in (outer, list(self.discriminator.parameters()))]

    def reconstruction(self, x):
        """Codes, and half the squared error of an image."""
        z = self.encoder(x)
        return z, 0.5 * ((x - torch.sigmoid(self.decoder(z))) ** 2).sum(1).mean()

    def update(self, x):
        """One update of all networks."""
        z, loss = self.reconstruction(x)
        drawn = STD * torch.randn(len(x), 8)
        d_loss = softplus(-self.discriminator(drawn)).mean() + softplus(self.discriminator(z.detach())).mean()
        g_loss = softplus(-self.discriminator(z)).mean()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        (loss + g_loss).backward()
        # the encoder's loss has left a gradient in the discriminator
        self.optimizers[1].zero_grad()
        d_loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()


def main():
    """Compare reconstructions, then time updates and codes."""
    torch.set_num_threads(1)
    x = np.random.default_rng(0).random((BATCH * UPDATES, 28, 28, 1), "float32")
    model = AdversarialAutoencoder()
    peer, flat = Peer(model), torch.tensor(x.reshape(len(x), -1))
    with torch.no_grad():
        z, loss = peer.reconstruction(flat[:BATCH])
    np.testing.assert_allclose(model.encode(x[:BATCH]), z.numpy(), rtol=1e-3, atol=1e-4)
    found = model.evaluate(x[:BATCH], batch_size=BATCH, verbose=0, return_dict=True)["reconstruction"]
    np.testing.assert_allclose(found, loss.item(), rtol=1e-4)

    def peer_epoch():
        for i in range(0, len(flat), BATCH):
            peer.update(flat[i : i + BATCH])

    def peer_codes():
        with torch.no_grad():
            peer.encoder(flat)

    benchmark = Benchmark("adversarial_autoencoder", peer=f"a loop in torch {version('torch')}")
    benchmark.case(
        f"{UPDATES} updates in batches of {BATCH}", lambda: model.fit(x, epochs=1, verbose=0), peer_epoch, UPDATES, "updates", repeats=5
    )
    benchmark.case(f"codes of {len(x)} images", lambda: model.encode(x), peer_codes, len(x), "images", repeats=5)
    benchmark.report()


if __name__ == "__main__":
    main()
