"""Updates of a language model over 10,000, 100,000 and 800,000 words against PyTorch: its softmax, and its AdaptiveLogSoftmaxWithLoss.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. All have the same feed-forward network, AdaGrad, and
batches of 16 texts of 30 words by Zipf's law.
"""

import numpy as np
import torch
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo

TEXTS, WORDS, WINDOW, SIZE, UNITS, STEPS = 16, 30, 6, 64, 128, 4


class _Peer(nn.Module):
    """Vectors of the last words, one hidden layer, and a softmax or an adaptive one."""

    def __init__(self, symbols, adaptive):
        super().__init__()
        # sparse gradients of the vectors, as one would have them for so many words
        self.embedding = nn.Embedding(symbols, SIZE, padding_idx=0, sparse=True)
        self.hidden, self.adaptive = nn.Linear(WINDOW * SIZE, UNITS), adaptive
        if adaptive:
            cutoffs = [symbols // 50, symbols // 5]
            self.out = nn.AdaptiveLogSoftmaxWithLoss(UNITS, symbols, cutoffs)
        else:
            self.out = nn.Linear(UNITS, symbols)
        self.optimizer = torch.optim.Adagrad(self.parameters(), 0.1)

    def learn(self, ids):
        for batch in torch.split(ids, TEXTS):
            self.optimizer.zero_grad()
            vectors = functional.pad(self.embedding(batch), (0, 0, WINDOW, 0))[:, :-1]
            windows = torch.cat([vectors[:, i : i + WORDS] for i in range(WINDOW)], dim=-1)
            features = torch.tanh(self.hidden(windows)).reshape(-1, UNITS)
            words = batch.reshape(-1)
            loss = self.out(features, words).loss if self.adaptive else functional.cross_entropy(self.out(features), words)
            loss.backward()
            self.optimizer.step()


def main():
    """Time updates."""
    torch.set_num_threads(1)
    benchmark = Benchmark("large_vocabulary_lm", peer=f"PyTorch {torch.__version__.partition('+')[0]}")
    cases = [(10000, "softmax"), (10000, "hierarchical"), (100000, "softmax")]
    cases += [(size, strategy) for size in (100000, 800000) for strategy in ("hierarchical", "target_sampling", "nce")]
    for size, strategy in cases:
        ids = np.random.default_rng(0).zipf(1.1, (TEXTS * STEPS, WORDS)) % size + 2
        model = zoo.applications.LargeVocabularyLM([f"w{i}" for i in range(size)], strategy)
        peer, x, tensor = _Peer(size + 3, strategy != "softmax"), ids.astype("int32"), torch.as_tensor(ids)
        benchmark.case(
            f"updates, {size:,} words, {strategy} against {'adaptive softmax' if peer.adaptive else 'softmax'}",
            ours=lambda model=model, x=x: model.fit(x, verbose=0, shuffle=False),
            peer=lambda peer=peer, tensor=tensor: peer.learn(tensor),
            work=TEXTS * STEPS * WORDS,
            unit="words",
            repeats=3,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
