"""An encoder with two decoders, translation and tags, against the same networks in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Batches of 128 pairs of 20 words, of 3,000 words, or of 17
tags; vectors of 128 numbers, LSTMs of 256 cells. Half of the updates are of each task.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn

import zoo

WORDS, TAGS, BATCH, LENGTH, SIZE, UNITS, UPDATES, WRITTEN = 3000, 17, 128, 20, 128, 256, 4, 64


class _Peer(nn.Module):
    """An LSTM that reads backwards, and an LSTM with a softmax for each task."""

    def __init__(self):
        super().__init__()
        self.source, self.reader = nn.Embedding(WORDS + 2, SIZE), nn.LSTM(SIZE, UNITS, batch_first=True)
        self.ends = [WORDS + 2, TAGS + 2]
        self.targets = nn.ModuleList(nn.Embedding(end + 1, SIZE) for end in self.ends)
        self.writers = nn.ModuleList(nn.LSTM(SIZE, UNITS, batch_first=True) for _ in self.ends)
        self.outputs = nn.ModuleList(nn.Linear(UNITS, end + 1) for end in self.ends)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def read(self, source):
        return self.reader(self.source(source.flip(1)))[1]

    def learn(self, batches):
        for task, source, target in batches:
            end = torch.full((len(target), 1), self.ends[task])
            before, words = torch.cat([end, target], 1), torch.cat([target, end], 1)
            self.optimizer.zero_grad()
            features, _ = self.writers[task](self.targets[task](before), self.read(source))
            nn.functional.cross_entropy(self.outputs[task](features).flatten(0, 1), words.flatten()).backward()
            nn.utils.clip_grad_norm_(self.parameters(), 5.0)
            self.optimizer.step()

    @torch.no_grad()
    def greedy(self, source, task=0):
        """The most probable word, one after the other, until all texts have ended."""
        state, end, found = self.read(source), self.ends[task], []
        ids, over = torch.full((len(source), 1), end), torch.zeros(len(source), dtype=torch.bool)
        for _ in range(LENGTH + 1):
            features, state = self.writers[task](self.targets[task](ids), state)
            ids = self.outputs[task](features[:, 0])[:, 2:].argmax(-1, keepdim=True) + 2
            found.append(ids)
            over |= ids[:, 0] == end
            if over.all():
                break
        return torch.cat(found, 1)


def main():
    """Time updates and searches."""
    torch.set_num_threads(1)
    words, tags = [f"w{i}" for i in range(WORDS)], [f"t{i}" for i in range(TAGS)]
    tasks = {"translation": ("source", "target"), "tags": ("source", "tags")}
    sizes = {"source_length": LENGTH, "target_length": LENGTH, "dropout": 0.0}
    model = zoo.applications.MultiTaskSeq2Seq({"source": words}, {"target": words, "tags": tags}, tasks, **sizes)
    rng, peer = np.random.default_rng(0), _Peer()
    source = rng.integers(2, WORDS + 2, (UPDATES * BATCH, LENGTH)).astype("int32")
    targets = [rng.integers(2, many + 2, (UPDATES * BATCH // 2, LENGTH)).astype("int32") for many in (WORDS, TAGS)]
    sources = np.split(source, 2)
    parts = [
        {"task": np.full(len(rows), task, "int32"), "source": rows, "target": target}
        for task, (rows, target) in enumerate(zip(sources, targets))
    ]
    mixture = zoo.text.TaskMixture([(part, 1.0) for part in parts], BATCH)
    batches = [
        (task, torch.as_tensor(rows[i : i + BATCH]).long(), torch.as_tensor(target[i : i + BATCH]).long())
        for task, (rows, target) in enumerate(zip(sources, targets))
        for i in range(0, len(rows), BATCH)
    ]
    benchmark = Benchmark("multi_task_seq2seq", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    benchmark.case("updates, half of each task", lambda: model.fit(mixture, verbose=0), lambda: peer.learn(batches), UPDATES, "updates", 5)
    # nobody ends a text early: both write all places
    model._writing[0].word_softmax.bias.assign(np.where(np.arange(WORDS + 3) == WORDS + 2, -1e3, 0.0)[:, None])
    peer.outputs[0].bias.data[-1] = -1e3
    texts = [" ".join(words[i - 2] for i in row) for row in source[:WRITTEN]]
    tensor = torch.as_tensor(source[:WRITTEN]).long()
    write = {"work": WRITTEN, "unit": "texts", "repeats": 5}
    benchmark.case(
        f"greedy translation of {WRITTEN} texts", lambda: model.write("translation", texts, beams=1), lambda: peer.greedy(tensor), **write
    )
    benchmark.report()


if __name__ == "__main__":
    main()
