"""ABS against the same network in PyTorch, as most people would write it: a training step, and a beam search in Python.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Both have 2000 words, the paper's
sizes, attention, and Adam.
"""

import numpy as np
import torch
from harness import Benchmark
from torch import nn

import zoo

WORDS, SOURCE, TARGET, BATCH, BEAMS, TEXTS = 2000, 30, 10, 64, 5, 16


class _Peer(nn.Module):
    """Attention, window Q = 2, context C = 5, D = 200, H = 400; ids as zoo has them."""

    def __init__(self, end):
        super().__init__()
        self.end = end
        self.words, self.context = nn.Embedding(end + 1, 200), nn.Embedding(end + 1, 200)
        self.source = nn.Embedding(end + 1, 400)
        self.hidden, self.query, self.out = nn.Linear(1000, 400), nn.Linear(1000, 400, bias=False), nn.Linear(800, end + 1)
        self.smooth = nn.AvgPool1d(5, 1, 2)
        self.drop = nn.Dropout(0.2)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def read(self, source):
        words = self.source(source) * (source > 0)[..., None]
        return words, self.smooth(words.transpose(1, 2)).transpose(1, 2), source > 0

    def forward(self, read, windows):
        words, smooth, present = read
        hidden = torch.tanh(self.hidden(self.words(windows).flatten(2)))
        scores = self.query(self.context(windows).flatten(2)) @ words.transpose(1, 2)
        weights = scores.masked_fill(~present[:, None], -1e9).softmax(-1)
        return self.out(self.drop(torch.cat([hidden, weights @ smooth], -1)))

    def epoch(self, source, target):
        self.train()
        for x, y in zip(source.split(BATCH), target.split(BATCH)):
            padded = torch.cat([torch.full((len(y), 5), self.end), y], 1)
            ends = torch.cat([y, torch.full((len(y), 1), self.end)], 1)
            logits = self(self.read(x), padded.unfold(1, 5, 1))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), ends.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def search(self, source):
        self.eval()
        n = len(source)
        read = [part.repeat_interleave(BEAMS, 0) for part in self.read(source)]
        found, total = torch.full((n * BEAMS, 5), self.end), torch.tensor([0.0] + [-1e9] * (BEAMS - 1)).repeat(n)
        for _ in range(TARGET):
            chance = self(read, found[:, None, -5:])[:, 0].log_softmax(-1)
            # words only, so that both searches have the same length
            chance[:, [0, 1, self.end]] = -1e9
            total, index = (total[:, None] + chance).view(n, -1).topk(BEAMS)
            rows = (torch.arange(n)[:, None] * BEAMS + index // (self.end + 1)).flatten()
            found, total = torch.cat([found[rows], (index % (self.end + 1)).flatten()[:, None]], 1), total.flatten()
        return found[::BEAMS, 5:]


def main():
    """Time an epoch of ten steps, and the search."""
    torch.set_num_threads(1)
    rng, vocabulary = np.random.default_rng(0), [f"w{i}" for i in range(WORDS)]
    # before Keras loads TensorFlow, beside which torch cannot load what its optimizers need
    peer = _Peer(WORDS + 2)
    ours = zoo.applications.ABS(vocabulary, vocabulary, SOURCE, TARGET)
    source, target = (rng.integers(2, WORDS + 2, (10 * BATCH, n)).astype("int32") for n in (SOURCE, TARGET))
    texts = [" ".join(vocabulary[i - 2] for i in row) for row in source[:TEXTS]]
    one, other = (torch.as_tensor(part.astype("int64")) for part in (source, target))
    benchmark = Benchmark("abs", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    x = {"source": source, "target": target}
    work = {"work": len(source), "unit": "pairs", "repeats": 5}
    benchmark.case("training, attention", ours=lambda: ours.fit(x, verbose=0), peer=lambda: peer.epoch(one, other), **work)
    work = {"work": TEXTS, "unit": "texts", "repeats": 5}
    for title, options in {"beam of 5, ABS": {"extractive": False}, "beam of 5, ABS+ against ABS": {}}.items():
        write = lambda options=options: ours.summarize(texts, BEAMS, TARGET, **options)  # noqa: E731
        benchmark.case(title, ours=write, peer=lambda: peer.search(one[:TEXTS]), **work)
    benchmark.report()


if __name__ == "__main__":
    main()
