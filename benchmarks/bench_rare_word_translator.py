"""RareWordTranslator against the same network in PyTorch: the step of training, and greedy writing that stops when all texts have ended.

Both read in reverse with an LSTM and write from its last state, with words padded to one length, on one thread. Needs PyTorch, which is
large and no part of the extra `bench`: `pip install torch`.
"""

import os

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
# torch comes before TensorFlow: the other way round the import of its compiler crashes
import torch
import torch._dynamo
from torch import nn

# isort: split
import numpy as np
from harness import Benchmark

import zoo

WORDS, LENGTH, SIZE, UNITS, BATCH, STEPS, WRITTEN = 1000, 16, 128, 256, 64, 30, 64


class Peer(nn.Module):
    """The network that torch's users write."""

    def __init__(self, symbols, end):
        super().__init__()
        self.end = end
        self.reads, self.writes = nn.Embedding(WORDS + 2, SIZE), nn.Embedding(symbols, SIZE)
        self.reader, self.writer = nn.LSTM(SIZE, UNITS, batch_first=True), nn.LSTM(SIZE, UNITS, batch_first=True)
        self.logits = nn.Linear(UNITS, symbols)

    def forward(self, source, before):
        """Logits of all places."""
        _, state = self.reader(self.reads(source.flip(1)))
        return self.logits(self.writer(self.writes(before), state)[0])

    @torch.no_grad()
    def greedy(self, source):
        """The most probable symbol, one after the other."""
        _, state = self.reader(self.reads(source.flip(1)))
        ids, found = torch.full((len(source), 1), self.end), []
        over = torch.zeros(len(source), dtype=torch.bool)
        for _ in range(LENGTH + 1):
            features, state = self.writer(self.writes(ids), state)
            ids = self.logits(features)[:, :, 1:].argmax(-1) + 1
            found.append(ids)
            over |= ids[:, 0] == self.end
            if over.all():
                break
        return torch.cat(found, 1)


def main():
    """Time steps of training and the writing of texts."""
    torch.set_num_threads(1)
    rng, words = np.random.default_rng(0), [f"w{i}" for i in range(WORDS)]
    ours = zoo.applications.RareWordTranslator(words, words, None, LENGTH, LENGTH, embedding_size=SIZE, units=UNITS, dropout=0.0)
    ids = rng.integers(2, WORDS + 2, (2, BATCH * STEPS, LENGTH)).astype("int32")
    x, end = {"source": ids[0], "target": ids[1]}, ours.end
    peer = Peer(end + 1, end)
    optimizer = torch.optim.Adam(peer.parameters(), 1e-3)
    source, target = (torch.tensor(side, dtype=torch.long) for side in ids)
    before, after = (
        torch.cat(pair, 1) for pair in ((torch.full((len(target), 1), end), target), (target, torch.full((len(target), 1), end)))
    )

    def train():
        for rows in torch.randperm(len(source)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(peer(source[rows], before[rows]).flatten(0, 1), after[rows].flatten()).backward()
            nn.utils.clip_grad_norm_(peer.parameters(), 5.0)
            optimizer.step()

    texts = [" ".join(words[i - 2] for i in row) for row in ids[0, :WRITTEN]]
    benchmark = Benchmark("rare_word_translator", peer=f"PyTorch {torch.__version__}, one thread")
    benchmark.case(
        f"steps of training, {BATCH} pairs of {LENGTH} words, {UNITS} units, {WORDS} words",
        ours=lambda: ours.fit(x, batch_size=BATCH, verbose=0),
        peer=train,
        work=STEPS,
        unit="steps",
        repeats=5,
    )
    benchmark.case(
        f"greedy translation of {WRITTEN} texts",
        ours=lambda: ours.translate(texts, beams=1, unknown=True),
        peer=lambda: peer.greedy(source[:WRITTEN]),
        work=WRITTEN,
        unit="texts",
        repeats=5,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
