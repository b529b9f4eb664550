"""Updates of a language model with attention to the sentences before and late fusion, against PyTorch written plainly.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each; 32 sentences of 30 words of 3,000, four sentences before.
"""

import numpy as np
import torch
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo

TEXTS, SENTENCES, LENGTH, WORDS, SIZE, UNITS, CONTEXT, STEPS = 32, 4, 30, 3000, 128, 256, 128, 4


class _Peer(nn.Module):
    """Bags that two LSTMs read, attention before each word, a gate behind the cell: a loop over the words, as one writes it."""

    def __init__(self):
        super().__init__()
        symbols = WORDS + 3
        self.embedding, self.bags = nn.Embedding(symbols, SIZE), nn.Embedding(symbols, CONTEXT, padding_idx=0)
        self.reader = nn.LSTM(CONTEXT, CONTEXT // 2, batch_first=True, bidirectional=True)
        self.query, self.key, self.score = (
            nn.Linear(UNITS + SIZE, UNITS, bias=False),
            nn.Linear(CONTEXT, UNITS),
            nn.Linear(UNITS, 1, bias=False),
        )
        self.x, self.h = nn.Linear(SIZE, 4 * UNITS), nn.Linear(UNITS, 4 * UNITS, bias=False)
        self.p, self.gate_p, self.gate_c = (
            nn.Linear(CONTEXT, UNITS, bias=False),
            nn.Linear(UNITS, UNITS),
            nn.Linear(UNITS, UNITS, bias=False),
        )
        self.out = nn.Linear(UNITS, symbols)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def forward(self, context, before):
        memory = self.reader(self.bags(context).sum(2) / (context > 0).sum(2, keepdim=True))[0]
        keys, x = self.key(memory), self.embedding(before)
        projected, h, c, found = self.x(x), torch.zeros(len(x), UNITS), torch.zeros(len(x), UNITS), []
        for t in range(x.shape[1]):
            asked = self.query(torch.cat([h, x[:, t]], dim=-1))
            weights = self.score(torch.tanh(asked[:, None] + keys)).softmax(1)
            p = self.p((weights * memory).sum(1))
            i, f, g, o = (projected[:, t] + self.h(h)).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * torch.tanh(c + torch.sigmoid(self.gate_p(p) + self.gate_c(c)) * p)
            found.append(h)
        return self.out(torch.stack(found, dim=1))

    def learn(self, context, ids):
        for one, batch in zip(torch.split(context, TEXTS), torch.split(ids, TEXTS)):
            self.optimizer.zero_grad()
            before = functional.pad(batch, (1, 0), value=WORDS + 2)[:, :-1]
            functional.cross_entropy(self(one, before).flatten(0, 1), batch.flatten()).backward()
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            self.optimizer.step()


def main():
    """Time updates."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    context, ids = (rng.integers(2, WORDS + 2, (TEXTS * STEPS, *shape)) for shape in ((SENTENCES, LENGTH), (LENGTH,)))
    model, peer = zoo.applications.LargerContextLM([f"w{i}" for i in range(WORDS)], length=LENGTH, dropout=0.0), _Peer()
    x, tensors = {"context": context.astype("int32"), "text": ids.astype("int32")}, (torch.as_tensor(context), torch.as_tensor(ids))
    benchmark = Benchmark("larger_context_lm", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    benchmark.case(
        "updates, attention and late fusion",
        ours=lambda: model.fit(x, verbose=0, shuffle=False),
        peer=lambda: peer.learn(*tensors),
        work=ids.size,
        unit="words",
        repeats=5,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
