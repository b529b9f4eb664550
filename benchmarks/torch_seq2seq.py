"""An encoder-decoder of LSTMs in PyTorch, written plainly: the peer of several benchmarks."""

import torch
from torch import nn
from torch.nn import functional


class Seq2Seq(nn.Module):
    """An LSTM that reads, one that writes from the state it ends in, and a softmax.

    Args:
        words: of the vocabulary; the id behind them and the unknown word is the end, and the first input.
        size: length of a word vector.
        units: cells of each LSTM.
    """

    def __init__(self, words, size, units):
        super().__init__()
        self.end = words + 2
        self.source, self.target = nn.Embedding(words + 3, size), nn.Embedding(words + 3, size)
        self.reader, self.writer = (nn.LSTM(size, units, batch_first=True) for _ in range(2))
        self.softmax = nn.Linear(units, words + 3)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def nats(self, source, target):
        """Of the words of texts `(batch, length)` and of their end."""
        end = torch.full((len(target), 1), self.end)
        before, words = torch.cat([end, target], 1), torch.cat([target, end], 1)
        features = self.writer(self.target(before), self.reader(self.source(source))[1])[0]
        return functional.cross_entropy(self.softmax(features).transpose(1, 2), words, reduction="none")

    def learn(self, batches):
        """An update with each batch."""
        for source, target in batches:
            self.optimizer.zero_grad()
            self.nats(source, target).mean().backward()
            nn.utils.clip_grad_norm_(self.parameters(), 5.0)
            self.optimizer.step()

    @torch.no_grad()
    def search(self, source, beams, length):
        """Beams of the most probable texts: ids `(batch, beams, length)` and log-probabilities `(batch, beams)`."""
        batch = len(source)
        state = [part.repeat_interleave(beams, dim=1) for part in self.reader(self.source(source))[1]]
        ids, over = torch.full((batch * beams, 1), self.end), torch.zeros(batch, beams, dtype=torch.bool)
        found = torch.zeros(batch, beams, 0, dtype=torch.long)
        scores = torch.full((batch, beams), -1e9)
        scores[:, 0] = 0.0
        for _ in range(length):
            features, state = self.writer(self.target(ids), tuple(state))
            chances = self.softmax(features[:, 0]).log_softmax(-1).unflatten(0, (batch, beams))
            # the unknown word and padding are not written; what is over stays as it is
            chances[..., :2] = -1e9
            chances[over] = -1e9
            chances[..., self.end][over] = 0.0
            scores, best = (scores[..., None] + chances).flatten(1).topk(beams)
            rows, words = best // chances.shape[-1], best % chances.shape[-1]
            found = torch.cat([found.gather(1, rows[..., None].expand(-1, -1, found.shape[-1])), words[..., None]], -1)
            over = over.gather(1, rows) | (words == self.end)
            flat = (rows + beams * torch.arange(batch)[:, None]).flatten()
            state, ids = [part[:, flat] for part in state], words.reshape(-1, 1)
            if over.all():
                break
        return found, scores
