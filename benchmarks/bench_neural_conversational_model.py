"""Updates and replies of a neural conversational model against the same network in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Batches of 64 pairs of 20 words of 3,000, default sizes.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch_seq2seq import Seq2Seq

import zoo

WORDS, BATCH, LENGTH, UPDATES, ASKED = 3000, 64, 20, 4, 64


def main():
    """Time updates and replies."""
    torch.set_num_threads(1)
    words = [f"w{i}" for i in range(WORDS)]
    model, peer = (
        zoo.applications.NeuralConversationalModel(words, source_length=LENGTH, target_length=LENGTH, dropout=0.0),
        Seq2Seq(WORDS, 128, 128),
    )
    ids = np.random.default_rng(0).integers(2, WORDS + 2, (2, UPDATES * BATCH, LENGTH)).astype("int32")
    x, tensors = {"source": ids[0], "target": ids[1]}, [torch.as_tensor(side).long() for side in ids]
    batches = list(zip(*(side.split(BATCH) for side in tensors)))
    benchmark = Benchmark("neural_conversational_model", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    learn = {"work": UPDATES, "unit": "updates", "repeats": 5}
    benchmark.case("updates", lambda: model.fit(x, verbose=0, shuffle=False), lambda: peer.learn(batches), **learn)
    # nobody ends a reply early: both write all places
    model.word_softmax.bias.assign(np.where(np.arange(WORDS + 3) == model.end, -1e3, 0.0)[:, None])
    peer.softmax.bias.data[-1] = -1e3
    texts, asked = [" ".join(words[i - 2] for i in row) for row in ids[0, :ASKED]], tensors[0][:ASKED]
    for beams in (1, 5):
        benchmark.case(
            f"replies to {ASKED} messages, {beams} beam{'s' if beams > 1 else ''}",
            ours=lambda beams=beams: model.respond(texts, beams=beams),
            peer=lambda beams=beams: peer.search(asked, beams, LENGTH + 1),
            work=ASKED,
            unit="replies",
            repeats=5,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
