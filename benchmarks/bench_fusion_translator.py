"""A translator with attention, and its greedy search with shallow and deep fusion, against the same network in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Batches of 80 pairs of 20 words of 3,000; vectors of 128
numbers, 256 units in each direction and of the writer, a language model of 256 cells.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn

import zoo

WORDS, BATCH, LENGTH, SIZE, UNITS, UPDATES, WRITTEN = 3000, 80, 20, 128, 256, 2, 64


class _Peer(nn.Module):
    """RNNsearch: attention by a small network, a GRU that reads word and context, a readout of maxout units; and an LSTM beside it."""

    def __init__(self):
        super().__init__()
        symbols, memory = WORDS + 3, 2 * UNITS
        self.source, self.target = nn.Embedding(WORDS + 2, SIZE), nn.Embedding(symbols, SIZE)
        self.reader = nn.GRU(SIZE, UNITS, batch_first=True, bidirectional=True)
        self.bridge, self.cell = nn.Linear(memory, UNITS), nn.GRUCell(SIZE + memory, UNITS)
        self.query, self.keys, self.score = nn.Linear(UNITS, UNITS, bias=False), nn.Linear(memory, UNITS), nn.Linear(UNITS, 1, bias=False)
        self.readout, self.softmax = nn.Linear(UNITS + memory + SIZE, 2 * UNITS), nn.Linear(UNITS, symbols)
        self.heard, self.listener, self.lm_softmax = nn.Embedding(symbols, SIZE), nn.LSTMCell(SIZE, UNITS), nn.Linear(UNITS, symbols)
        self.gate, self.listen = nn.Linear(UNITS, 1), nn.Linear(UNITS, 2 * UNITS, bias=False)
        parts = [
            self.source,
            self.target,
            self.reader,
            self.bridge,
            self.cell,
            self.query,
            self.keys,
            self.score,
            self.readout,
            self.softmax,
        ]
        self.translator = [weight for part in parts for weight in part.parameters()]
        self.optimizer = torch.optim.Adam(self.translator, 1e-3)

    def read(self, source):
        memory, last = self.reader(self.source(source))
        return memory, self.keys(memory), torch.tanh(self.bridge(torch.cat([last[0], last[1]], -1)))

    def write(self, x, state, memory, keys):
        """A step: the state, and what the readout sees."""
        weights = torch.softmax(self.score(torch.tanh(self.query(state)[:, None] + keys)), 1)
        context = (weights * memory).sum(1)
        state = self.cell(torch.cat([x, context], -1), state)
        return state, torch.cat([state, context, x], -1)

    def logits(self, parts, heard=0.0):
        return self.softmax((self.readout(parts) + heard).unflatten(-1, (UNITS, 2)).amax(-1))

    def learn(self, batches):
        for source, target in batches:
            end = torch.full((len(target), 1), WORDS + 2)
            before, words = torch.cat([end, target], 1), torch.cat([target, end], 1)
            self.optimizer.zero_grad()
            memory, keys, state = self.read(source)
            x, parts = self.target(before), []
            for i in range(before.shape[1]):
                state, part = self.write(x[:, i], state, memory, keys)
                parts.append(part)
            nn.functional.cross_entropy(self.logits(torch.stack(parts, 1)).flatten(0, 1), words.flatten()).backward()
            nn.utils.clip_grad_norm_(self.translator, 1.0)
            self.optimizer.step()

    @torch.no_grad()
    def greedy(self, source, fusion):
        """The most probable word, one after the other, until all texts have ended."""
        memory, keys, state = self.read(source)
        ids, over, found = torch.full((len(source),), WORDS + 2), torch.zeros(len(source), dtype=torch.bool), []
        heard = (torch.zeros(len(source), UNITS), torch.zeros(len(source), UNITS))
        for _ in range(LENGTH + 1):
            state, part = self.write(self.target(ids), state, memory, keys)
            heard = self.listener(self.heard(ids), heard)
            if fusion == "deep":
                scores = self.logits(part, self.listen(torch.sigmoid(self.gate(heard[0])) * heard[0]))
            else:
                scores = self.logits(part).log_softmax(-1) + 0.1 * self.lm_softmax(heard[0]).log_softmax(-1)
            ids = scores[:, 2:].argmax(-1) + 2
            found.append(ids)
            over |= ids == WORDS + 2
            if over.all():
                break
        return torch.stack(found, 1)


def main():
    """Time updates and searches."""
    torch.set_num_threads(1)
    words = [f"w{i}" for i in range(WORDS)]
    model, peer = zoo.applications.FusionTranslator(words, words, LENGTH, LENGTH, dropout=0.0), _Peer()
    ids = np.random.default_rng(0).integers(2, WORDS + 2, (2, UPDATES * BATCH, LENGTH)).astype("int32")
    x, tensors = {"source": ids[0], "target": ids[1]}, [torch.as_tensor(side).long() for side in ids]
    batches = list(zip(*(side.split(BATCH) for side in tensors)))
    benchmark = Benchmark("fusion_translator", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    learn = {"work": UPDATES, "unit": "updates", "repeats": 5}
    benchmark.case("updates of the translator", lambda: model.fit(x, verbose=0), lambda: peer.learn(batches), **learn)
    # nobody ends a text early: both write all places
    for softmax in (model.word_softmax, model.deep_output.word_softmax, model.language_model.word_softmax):
        softmax.bias.assign(np.where(np.arange(WORDS + 3) == model.end, -1e3, 0.0)[:, None])
    for softmax in (peer.softmax, peer.lm_softmax):
        softmax.bias.data[-1] = -1e3
    texts = [" ".join(words[i - 2] for i in row) for row in ids[0, :WRITTEN]]
    for fusion in ("shallow", "deep"):
        benchmark.case(
            f"greedy translation of {WRITTEN} texts, {fusion} fusion",
            ours=lambda fusion=fusion: model.translate(texts, beams=1, fusion=fusion),
            peer=lambda fusion=fusion: peer.greedy(tensors[0][:WRITTEN], fusion),
            work=WRITTEN,
            unit="texts",
            repeats=5,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
