"""Updates of a model with two bags of context, and scores of candidates, against the same network in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Batches of 64 triples of 20 and 20 words of 3,000, the
default sizes; 64 messages with ten candidates each.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo

WORDS, BATCH, LENGTH, SIZE, UNITS, UPDATES, ASKED, CANDIDATES = 3000, 64, 20, 128, 128, 4, 64, 10


class _Peer(nn.Module):
    """DCGM-II: two bags, a layer, and a recurrent network that reads their vector beside each word."""

    def __init__(self):
        super().__init__()
        self.bags, self.dense = nn.EmbeddingBag(WORDS + 3, UNITS, mode="sum"), nn.Linear(2 * UNITS, UNITS)
        self.words, self.writer = nn.Embedding(WORDS + 3, SIZE), nn.RNN(SIZE + UNITS, UNITS, batch_first=True)
        self.softmax = nn.Linear(UNITS, WORDS + 3)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def nats(self, context, message, target):
        end = torch.full((len(target), 1), WORDS + 2)
        before, words = torch.cat([end, target], 1), torch.cat([target, end], 1)
        known = torch.sigmoid(self.dense(torch.cat([self.bags(context), self.bags(message)], -1)))
        features = self.writer(torch.cat([self.words(before), known[:, None].expand(-1, before.shape[1], -1)], -1))[0]
        return functional.cross_entropy(self.softmax(features).transpose(1, 2), words, reduction="none")

    def learn(self, batches):
        for batch in batches:
            self.optimizer.zero_grad()
            self.nats(*batch).mean().backward()
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            self.optimizer.step()

    @torch.no_grad()
    def score(self, batch):
        return -self.nats(*batch).sum(1)


def main():
    """Time updates and scores."""
    torch.set_num_threads(1)
    words = [f"w{i}" for i in range(WORDS)]
    model = zoo.applications.DynamicContextModel(words, source_length=2 * LENGTH + 1, target_length=LENGTH, dropout=0.0)
    peer, rng = _Peer(), np.random.default_rng(0)
    ids = rng.integers(2, WORDS + 2, (3, UPDATES * BATCH, LENGTH)).astype("int32")
    turn = np.full((UPDATES * BATCH, 1), model.end, "int32")
    x = {"source": np.concatenate([ids[0], turn, ids[1]], axis=1), "target": ids[2]}
    batches = list(zip(*(torch.as_tensor(side).long().split(BATCH) for side in ids)))
    benchmark = Benchmark("dynamic_context_model", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    learn = {"work": UPDATES, "unit": "updates", "repeats": 5}
    benchmark.case("updates", lambda: model.fit(x, verbose=0, shuffle=False), lambda: peer.learn(batches), **learn)
    rows = np.repeat(np.arange(ASKED), CANDIDATES)
    replies = rng.integers(2, WORDS + 2, (len(rows), LENGTH)).astype("int32")
    pairs, batch = {"source": x["source"][rows], "target": replies}, [torch.as_tensor(side).long() for side in (*ids[:2, rows], replies)]
    score = {"work": len(rows), "unit": "candidates", "repeats": 5}
    benchmark.case("log-probabilities", lambda: model.predict_on_batch(pairs), lambda: peer.score(batch), **score)
    benchmark.report()


if __name__ == "__main__":
    main()
