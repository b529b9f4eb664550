"""Updates on rows of four exchanges, and replies, of a model with an intention network, against the same network in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. 8 rows of turns of 12 words of 3,000, the default sizes.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo

WORDS, BATCH, LENGTH, EXCHANGES, SIZE, UNITS, UPDATES, ASKED = 3000, 8, 12, 4, 128, 128, 8, 32


class _Peer(nn.Module):
    """Encoder from the decoder's last state, a simple recurrent network across turns, a decoder with attention."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(WORDS + 2, SIZE), nn.Embedding(WORDS + 3, SIZE)
        self.reader, self.writer = nn.LSTM(SIZE, UNITS, batch_first=True), nn.LSTMCell(SIZE + 2 * UNITS, UNITS)
        self.move, self.query = nn.Linear(3 * UNITS, UNITS), nn.Linear(UNITS, UNITS, bias=False)
        self.starts = nn.ModuleList(nn.Linear(UNITS, UNITS) for _ in range(2))
        self.readout, self.softmax = nn.Linear(2 * UNITS, UNITS), nn.Linear(UNITS, WORDS + 3)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def hear(self, message, intention, last):
        memory, heard = self.reader(self.source(message), tuple(part[None] for part in last))
        intention = torch.tanh(self.move(torch.cat([heard[0][0], last[0], intention], -1)))
        return memory, intention, [torch.tanh(start(intention)) for start in self.starts]

    def step(self, ids, memory, intention, state):
        weights = torch.softmax((memory @ self.query(state[0])[..., None])[..., 0], -1)
        context = (weights[:, None] @ memory)[:, 0]
        state = self.writer(torch.cat([self.target(ids), context, intention], -1), state)
        return state, torch.tanh(self.readout(torch.cat([state[0], context], -1)))

    def converse(self, rows):
        """Behind each message: memory, intention and the decoder's first state; nats of replies."""
        intention, last, nats = torch.zeros(len(rows), UNITS), [torch.zeros(len(rows), UNITS)] * 2, []
        for i in range(0, rows.shape[1] - 1, 2):
            memory, intention, last = self.hear(rows[:, i], intention, last)
            end, features = torch.full((len(rows), 1), WORDS + 2), []
            before, words = torch.cat([end, rows[:, i + 1]], 1), torch.cat([rows[:, i + 1], end], 1)
            for ids in before.T:
                last, seen = self.step(ids, memory, intention, last)
                features.append(seen)
            nats.append(functional.cross_entropy(self.softmax(torch.stack(features, 1)).flatten(0, 1), words.flatten()))
        return intention, last, nats

    def learn(self, batches):
        for rows in batches:
            self.optimizer.zero_grad()
            sum(self.converse(rows)[2]).backward()
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            self.optimizer.step()

    @torch.no_grad()
    def greedy(self, turns):
        intention, last, _ = self.converse(turns[:, :-1])
        memory, intention, state = self.hear(turns[:, -1], intention, last)
        ids, found = torch.full((len(turns),), WORDS + 2), []
        for _ in range(LENGTH + 1):
            state, seen = self.step(ids, memory, intention, state)
            ids = self.softmax(seen)[:, 2:].argmax(-1) + 2
            found.append(ids)
        return torch.stack(found, 1)


def main():
    """Time updates and replies."""
    torch.set_num_threads(1)
    words = [f"w{i}" for i in range(WORDS)]
    lengths = {"exchanges": EXCHANGES, "source_length": LENGTH, "target_length": LENGTH}
    model, peer = zoo.applications.AttentionWithIntention(words, **lengths, dropout=0.0), _Peer()
    ids = np.random.default_rng(0).integers(2, WORDS + 2, (UPDATES * BATCH, 2 * EXCHANGES, LENGTH)).astype("int32")
    x, rows = {"source": ids[:, :-1], "target": ids[:, -1]}, torch.as_tensor(ids).long()
    benchmark = Benchmark("attention_with_intention", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    learn = {"work": UPDATES, "unit": "updates", "repeats": 5}
    benchmark.case(
        "updates", lambda: model.fit(x, batch_size=BATCH, verbose=0, shuffle=False), lambda: peer.learn(rows.split(BATCH)), **learn
    )
    # nobody ends a reply early: both write all places
    model.word_softmax.bias.assign(np.where(np.arange(WORDS + 3) == model.end, -1e3, 0.0)[:, None])
    peer.softmax.bias.data[-1] = -1e3
    asked = [[" ".join(words[i - 2] for i in turn) for turn in row[:-1]] for row in ids[:ASKED]]
    write = {"work": ASKED, "unit": "replies", "repeats": 5}
    benchmark.case("greedy replies", lambda: model.respond(asked, beams=1), lambda: peer.greedy(rows[:ASKED, :-1]), **write)
    benchmark.report()


if __name__ == "__main__":
    main()
