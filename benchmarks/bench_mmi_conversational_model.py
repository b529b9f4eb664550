"""The most informative of lists of replies, and replies against a language model, against the same networks in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. 16 messages of 20 words of 3,000, lists of 20 replies, the
default sizes. Training is that of `NeuralConversationalModel`, three times.
"""

import numpy as np
import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch_seq2seq import Seq2Seq

import zoo

WORDS, LENGTH, ASKED, BEAMS = 3000, 20, 16, 20


@torch.no_grad()
def informative(forward, backward, asked):
    """The replies of lists whose message is most probable, given the reply, beside their own probability."""
    found, scores = forward.search(asked, BEAMS, LENGTH + 1)
    back = -backward.nats(found.flatten(0, 1), asked.repeat_interleave(BEAMS, 0)).sum(1)
    return found[torch.arange(len(asked)), (scores + 0.5 * back.unflatten(0, scores.shape)).argmax(1)]


def main():
    """Time replies."""
    torch.set_num_threads(1)
    words = [f"w{i}" for i in range(WORDS)]
    model = zoo.applications.MMIConversationalModel(words, source_length=LENGTH, target_length=LENGTH)
    forward, backward = (Seq2Seq(WORDS, 128, 128) for _ in range(2))
    # nobody ends a reply early: both write all places
    model.word_softmax.bias.assign(np.where(np.arange(WORDS + 3) == model.end, -1e3, 0.0)[:, None])
    forward.softmax.bias.data[-1] = -1e3
    ids = np.random.default_rng(0).integers(2, WORDS + 2, (ASKED, LENGTH))
    texts, asked = [" ".join(words[i - 2] for i in row) for row in ids], torch.as_tensor(ids)
    benchmark = Benchmark("mmi_conversational_model", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    write = {"work": ASKED, "unit": "replies", "repeats": 5}
    ours, peer = lambda: model.respond(texts, beams=BEAMS, criterion="bidi"), lambda: informative(forward, backward, asked)
    benchmark.case(f"lists of {BEAMS} replies to {ASKED} messages, ranked anew", ours, peer, **write)
    benchmark.report()


if __name__ == "__main__":
    main()
