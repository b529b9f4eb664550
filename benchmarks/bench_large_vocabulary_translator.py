"""An update of a translator into 100,000 words against PyTorch: the same network with a full softmax, and with an adaptive one.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Batches of 80 pairs of 10 words with Zipf's frequencies;
word vectors of 64 numbers, 128 units, Adam, which PyTorch runs over whole tables and zoo over the rows in use.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn

import zoo
from zoo.optimizers import RowAdam

SOURCES, WORDS, SUBSET, BATCH, LENGTH, EMBEDDING, UNITS, UPDATES = 5000, 100_000, 5000, 80, 10, 64, 128, 2


class _Peer(nn.Module):
    """RNNsearch: attention by a small network, a GRU that reads word and context, a readout of maxout units."""

    def __init__(self, adaptive):
        super().__init__()
        symbols, memory = WORDS + 3, 2 * UNITS
        self.source, self.target = nn.Embedding(SOURCES + 2, EMBEDDING), nn.Embedding(symbols, EMBEDDING)
        self.reader = nn.GRU(EMBEDDING, UNITS, batch_first=True, bidirectional=True)
        self.bridge, self.cell = nn.Linear(memory, UNITS), nn.GRUCell(EMBEDDING + memory, UNITS)
        self.query, self.keys, self.score = nn.Linear(UNITS, UNITS, bias=False), nn.Linear(memory, UNITS), nn.Linear(UNITS, 1, bias=False)
        self.readout = nn.Linear(UNITS + memory + EMBEDDING, 2 * UNITS)
        cutoffs = [2000, 20000]
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(UNITS, symbols, cutoffs) if adaptive else nn.Linear(UNITS, symbols)
        self.adaptive, self.optimizer = adaptive, torch.optim.Adam(self.parameters(), 1e-3)

    def forward(self, source, before, words):
        memory, last = self.reader(self.source(source))
        state, keys, embedded = torch.tanh(self.bridge(torch.cat([last[0], last[1]], -1))), self.keys(memory), self.target(before)
        parts = []
        for i in range(before.shape[1]):
            weights = torch.softmax(self.score(torch.tanh(self.query(state)[:, None] + keys)), 1)
            context = (weights * memory).sum(1)
            state = self.cell(torch.cat([embedded[:, i], context], -1), state)
            parts.append(torch.cat([state, context, embedded[:, i]], -1))
        features = self.readout(torch.stack(parts, 1)).unflatten(-1, (UNITS, 2)).amax(-1).flatten(0, 1)
        if self.adaptive:
            return self.softmax(features, words.flatten()).loss
        return nn.functional.cross_entropy(self.softmax(features), words.flatten())

    def learn(self, batches):
        for source, target in batches:
            end = torch.full((len(target), 1), WORDS + 2)
            self.optimizer.zero_grad()
            self(source, torch.cat([end, target], 1), torch.cat([target, end], 1)).backward()
            torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            self.optimizer.step()


def main():
    """Time an update."""
    torch.set_num_threads(1)
    rng, shares = np.random.default_rng(0), 1 / np.arange(1, WORDS + 1)
    target = rng.choice(WORDS, (UPDATES * BATCH, LENGTH), p=shares / shares.sum()).astype("int32") + 2
    source = rng.integers(2, SOURCES + 2, target.shape).astype("int32")
    vocabularies = [[f"{side}{i}" for i in range(size)] for side, size in (("s", SOURCES), ("t", WORDS))]
    sizes = {"source_length": LENGTH, "target_length": LENGTH, "embedding_size": EMBEDDING, "units": UNITS, "subset": SUBSET}
    model = zoo.applications.LargeVocabularyTranslator(*vocabularies, **sizes)
    model.compile(RowAdam(1e-3, global_clipnorm=1.0))
    pairs = zoo.text.Partitions({"source": source, "target": target}, SUBSET, (zoo.text.UNKNOWN, model.end), BATCH)
    batches = [tuple(torch.as_tensor(ids[i : i + BATCH]).long() for ids in (source, target)) for i in range(0, len(source), BATCH)]
    benchmark = Benchmark("large_vocabulary_translator", peer=f"PyTorch {torch.__version__}")
    for title, adaptive in (("full softmax", False), ("AdaptiveLogSoftmaxWithLoss", True)):
        peer = _Peer(adaptive)
        ours = lambda: model.fit(pairs, verbose=0)  # noqa: E731
        words = UPDATES * BATCH * (LENGTH + 1)
        benchmark.case(f"update, {WORDS:,} words, peer with {title}", ours, lambda peer=peer: peer.learn(batches), words, "words", 5)
    benchmark.report()


if __name__ == "__main__":
    main()
