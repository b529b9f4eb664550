"""Training and rankings of a dialogue memory network against the same network in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Questions about 500 invented films, 50 facts and 4
utterances in memory, two hops, batches of 32.
"""

import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo
from zoo.applications.dialog_memory_network import learn_words
from zoo.datasets import film_dialogues as suite

DIALOGUES, FILMS, BATCH = 2560, 500, 32


class _Peer(nn.Module):
    """Bags of units, two hops over two memories in one softmax, and a score for each entity."""

    def __init__(self, units, entities, size=50, hops=2, recent=4):
        super().__init__()
        self.first = units - entities
        self.vectors = nn.Embedding(units, size, padding_idx=0)
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.ages = nn.Parameter(0.1 * torch.randn(recent, size))
        self.matrices = nn.ParameterList(nn.Parameter(torch.eye(size).repeat(2, 1, 1)) for _ in range(hops))
        self.optimizer = torch.optim.Adam(self.parameters(), 5e-3)

    def forward(self, message, recent, facts):
        state, before, known = (self.vectors(ids).sum(-2) for ids in (message, recent, facts))
        before, present = before + self.ages, torch.cat([recent.any(-1), facts.any(-1)], dim=1)
        for own in self.matrices:
            scores = torch.einsum("bd,bmd->bm", state, torch.cat([before, known], dim=1))
            weights = torch.softmax(scores.masked_fill(~present, -1e9), -1) * present
            parts = (weights[:, : before.shape[1]], before, own[0]), (weights[:, before.shape[1] :], known, own[1])
            state = state + sum(torch.einsum("bm,bmd->bd", weight, memory) @ matrix for weight, memory, matrix in parts)
        return state @ self.vectors.weight[self.first :].T

    def learn(self, batches):
        for message, recent, facts, replies in batches:
            self.optimizer.zero_grad()
            losses = -functional.log_softmax(self(message, recent, facts), -1).gather(1, replies.clamp(min=0))
            right = replies >= 0
            ((losses * right).sum(1) / right.sum(1)).mean().backward()
            nn.utils.clip_grad_norm_(self.parameters(), 10.0)
            self.optimizer.step()


@torch.no_grad()
def _scored(peer, batches):
    return [peer(*batch) for batch in batches]


def main():
    """Time an epoch of training, and the scores of all entities."""
    torch.set_num_threads(1)
    knowledge = suite.invented_films(FILMS)
    dialogues = suite.qa(knowledge, DIALOGUES * 5 // 4)[0]
    retriever, names = suite.Retriever(knowledge), list(knowledge.entities)
    model = zoo.applications.DialogMemoryNetwork(learn_words(dialogues, names), names)
    x, y = model.encode(dialogues, retriever)
    peer = _Peer(model.read_vectors.shape[0], len(names))
    arrays = [torch.as_tensor(array).long() for array in (x["message"], x["recent"], x["facts"], y)]
    batches = list(zip(*(array.split(BATCH) for array in arrays)))
    benchmark = Benchmark("dialog_memory_network", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    work = {"work": len(y), "unit": "messages", "repeats": 5}
    asked = list(zip(*(array.split(256) for array in arrays[:3])))
    for jit_compile, title in ((False, ""), (True, ", compiled by XLA")):
        model.compile(jit_compile=jit_compile)
        benchmark.case(f"epoch of training{title}", lambda: model.fit(x, y, verbose=0, shuffle=False), lambda: peer.learn(batches), **work)
        benchmark.case(
            f"scores of {len(names):,} entities, batches of 256{title}",
            lambda: model.predict(x, batch_size=256, verbose=0),
            lambda: _scored(peer, asked),
            **work,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
