"""Updates of a character RNN whose output the last character chooses, and random texts, against PyTorch written plainly.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each; 32 texts of 100 characters of 40, an LSTM of 128 units.
"""

import numpy as np
import torch
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo

TEXTS, LENGTH, LETTERS, SIZE, UNITS, STEPS, DRAWN = 32, 100, 40, 32, 128, 8, 16


class _Peer(nn.Module):
    """An LSTM, and for each last character a matrix."""

    def __init__(self):
        super().__init__()
        symbols = LETTERS + 3
        self.embedding, self.reader = nn.Embedding(symbols, SIZE), nn.LSTM(SIZE, UNITS, batch_first=True)
        self.kernel = nn.Parameter(torch.randn(symbols, symbols, UNITS) * UNITS**-0.5)
        self.bias = nn.Parameter(torch.zeros(symbols, symbols))
        self.optimizer = torch.optim.Adam(self.parameters(), 2e-3)

    def logits(self, features, last):
        return torch.einsum("...u,...su->...s", features, self.kernel[last]) + self.bias[last]

    def learn(self, ids):
        for batch in torch.split(ids, TEXTS):
            self.optimizer.zero_grad()
            before = functional.pad(batch, (1, 0), value=LETTERS + 2)[:, :-1]
            logits = self.logits(self.reader(self.embedding(before))[0], before)
            functional.cross_entropy(logits.flatten(0, 1), batch.flatten()).backward()
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            self.optimizer.step()

    @torch.no_grad()
    def sample(self, n):
        ids, state, found = torch.full((n, 1), LETTERS + 2), None, []
        for _ in range(LENGTH):
            features, state = self.reader(self.embedding(ids), state)
            ids = torch.distributions.Categorical(logits=self.logits(features[:, 0], ids[:, 0])).sample()[:, None]
            found.append(ids)
        return torch.cat(found, dim=1)


def main():
    """Time updates and samples."""
    torch.set_num_threads(1)
    ids = np.random.default_rng(0).integers(2, LETTERS + 2, (TEXTS * STEPS, LENGTH))
    letters = [chr(ord("a") + i) if i < 26 else chr(ord("0") + i - 26) for i in range(36)] + list(" .,!")
    model, peer = zoo.applications.CharacterRNN(letters, length=LENGTH, units=UNITS), _Peer()
    # texts that do not end, as the peer's
    model.word_softmax.bias.assign(np.where(np.arange(LETTERS + 3) == model.end, -30.0, np.zeros((LETTERS + 3, 1))))
    x, tensor = ids.astype("int32"), torch.as_tensor(ids)
    benchmark = Benchmark("character_rnn", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    learn = {"work": ids.size, "unit": "characters", "repeats": 5}
    benchmark.case("updates", lambda: model.fit(x, verbose=0, shuffle=False), lambda: peer.learn(tensor), **learn)
    draw = {"work": DRAWN * LENGTH, "unit": "characters", "repeats": 5}
    benchmark.case(f"{DRAWN} random texts", lambda: model.sample(DRAWN, seed=0), lambda: peer.sample(DRAWN), **draw)
    benchmark.report()


if __name__ == "__main__":
    main()
