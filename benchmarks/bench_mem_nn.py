"""Training and answers of a memory network with strong supervision against the same network in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Task 2 of bAbI, 1,000 questions, two hops, batches of 32.
"""

import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn

import zoo
from zoo.datasets import babi

QUESTIONS, SIZE, BATCH, HOPS, MARGIN = 1024, 50, 32, 2, 0.1


class _Peer(nn.Module):
    """Bags of words with three vectors each, pairs with three bits of age, and the winner of one pass."""

    def __init__(self, words):
        super().__init__()
        self.words = words
        self.find, self.reply = (
            nn.ModuleDict({name: nn.Embedding(words + 1, SIZE, padding_idx=0) for name in ("question", "found", "candidate")})
            for _ in range(2)
        )
        self.ages = nn.Parameter(0.1 * torch.randn(3, SIZE))
        self.optimizer = torch.optim.Adam(self.parameters(), 5e-3)

    def scores(self, candidates, x, age):
        match, bits = (candidates @ x[..., None])[..., 0], x @ self.ages.T
        older = (age > torch.arange(match.shape[1])).float()
        return match + bits[:, :1] * older + bits[:, 2:], match - bits[:, 1:2] * older

    def parts(self, story, question):
        find, reply = self.find, self.reply
        return (
            find["candidate"](story).sum(2),
            find["found"](story).sum(2),
            find["question"](question).sum(1),
            reply["found"](story).sum(2),
            reply["question"](question).sum(1),
        )

    def learn(self, batches):
        for story, question, supports, answer in batches:
            self.optimizer.zero_grad()
            candidates, found, x, facts, asked = self.parts(story, question)
            rows, present, age, loss = torch.arange(len(story)), (story > 0).any(2), torch.full((len(story), 1), -1), 0.0
            for hop in range(HOPS):
                right, places = supports[:, hop : hop + 1], torch.arange(story.shape[1])
                first, second = self.scores(candidates, x, age)
                ahead = torch.where(right > places, first.gather(1, right) - second, second.gather(1, right) - first)
                loss = loss + (torch.relu(MARGIN - ahead) * (present & (places != right))).sum(1)
                x, asked, age = x + found[rows, right[:, 0]], asked + facts[rows, right[:, 0]], right
            words = asked @ self.reply["candidate"].weight[1:].T
            wrong = torch.arange(1, self.words + 1) != answer[:, None]
            loss = loss + (torch.relu(MARGIN - words.gather(1, answer[:, None] - 1) + words) * wrong).sum(1)
            loss.mean().backward()
            self.optimizer.step()

    @torch.no_grad()
    def answer(self, story, question):
        candidates, found, x, facts, asked = self.parts(story, question)
        rows, present, age = torch.arange(len(story)), (story > 0).any(2), torch.full((len(story), 1), -1)
        for _ in range(HOPS):
            first, second = self.scores(candidates, x, age)
            place, score = torch.full((len(story),), -1), torch.full((len(story),), -1e9)
            for i in reversed(range(story.shape[1])):
                wins = present[:, i] & (second[:, i] >= score)
                place, score = torch.where(wins, i, place), torch.where(wins, first[:, i], score)
            x, asked, age = x + found[rows, place], asked + facts[rows, place], place[:, None]
        return (asked @ self.reply["candidate"].weight[1:].T).argmax(1) + 1


def main():
    """Time an epoch of training and the answers to all questions."""
    torch.set_num_threads(1)
    examples = babi.examples(babi.simulate(2, QUESTIONS))
    words = babi.vocabulary(examples)
    model, peer = zoo.applications.MemNN(words), _Peer(len(words))
    x, y = model.encode(examples)
    arrays = [torch.as_tensor(array).long() for array in (x["story"], x["question"], y["supports"], y["answer"][:, 0])]
    batches = list(zip(*(array.split(BATCH) for array in arrays)))
    benchmark = Benchmark("mem_nn", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    work = {"work": QUESTIONS, "unit": "questions", "repeats": 5}
    benchmark.case("epoch of training", lambda: model.fit(x, y, verbose=0, shuffle=False), lambda: peer.learn(batches), **work)
    asked = list(zip(*(array.split(256) for array in arrays[:2])))
    benchmark.case(
        "answers, batches of 256",
        lambda: model.predict(x, batch_size=256, verbose=0),
        lambda: [peer.answer(*pair) for pair in asked],
        **work,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
