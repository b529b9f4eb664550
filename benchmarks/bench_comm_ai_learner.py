"""Learning by REINFORCE on nano tasks, sixteen sessions of CommAI side by side, against the same learner in PyTorch.

Needs torch (CPU): PYTHONPATH=<zoo>:<site-packages with torch>. One thread each. Both play the same kind of world, within the time.
"""

import torch

# before TensorFlow comes, with which triton, that it loads, would crash
import torch._dynamo
from harness import Benchmark
from torch import nn
from torch.nn import functional

import zoo
from zoo.environments.commai import CommAIVector

STEPS, COPIES, UNITS, WINDOW, GAMMA, LAM, ENTROPY = 16_384, 16, 64, 32, 0.97, 0.95, 0.03


class _Peer(nn.Module):
    """A GRU over what is heard, was said and was paid; windows of experience; advantages by a loop over their steps."""

    def __init__(self):
        super().__init__()
        self.memory = nn.GRU(6, UNITS, batch_first=True)
        self.policy, self.value = nn.Linear(UNITS, 2), nn.Linear(UNITS, 1)
        self.optimizer = torch.optim.Adam(self.parameters(), 5e-3)

    def forward(self, heard, said, reward, state):
        x = torch.cat([functional.one_hot(heard, 2), functional.one_hot(said, 3), reward[..., None]], -1).float()
        h, state = self.memory(x, state)
        return self.policy(h), self.value(h)[..., 0], state

    def learn(self, world, steps):
        heard, said, reward = torch.as_tensor(world.reset()[0]), torch.zeros(COPIES, dtype=torch.long), torch.zeros(COPIES)
        state, rows = torch.zeros(1, COPIES, UNITS), []
        start = state
        for _ in range(steps // COPIES):
            with torch.no_grad():
                logits, value, following = self(heard[:, None], said[:, None], reward[:, None], state)
            if len(rows) == WINDOW:
                self.update(rows, value[:, 0], start)
                rows, start = [], state
            action = torch.distributions.Categorical(logits=logits[:, 0]).sample()
            symbols, paid, *_ = world.step(action.tolist())
            rows.append((heard, said, reward, action, value[:, 0], torch.as_tensor(paid).float()))
            heard, said, reward, state = torch.as_tensor(symbols), action + 1, rows[-1][-1], following

    def update(self, rows, behind, start):
        heard, said, reward, action, value, paid = (torch.stack(column, 1) for column in zip(*rows))
        advantage, following, total = torch.zeros_like(value), behind, torch.zeros_like(behind)
        for t in reversed(range(WINDOW)):
            total = paid[:, t] + GAMMA * following - value[:, t] + GAMMA * LAM * total
            advantage[:, t], following = total, value[:, t]
        logits, values, _ = self(heard, said, reward, start)
        policy = torch.distributions.Categorical(logits=logits)
        errors = (advantage + value - values).square()
        loss = (0.25 * errors - advantage * policy.log_prob(action) - ENTROPY * policy.entropy()).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()


def main():
    """Time learning, and single symbols."""
    torch.set_num_threads(1)
    agent, peer = zoo.applications.CommAILearner(), _Peer()
    worlds = [CommAIVector(COPIES, tasks="nano", max_reward_per_task=None, seed=0) for _ in range(2)]
    benchmark = Benchmark("comm_ai_learner", peer=f"PyTorch {torch.__version__.partition('+')[0]}, written plainly")
    benchmark.case(
        "learning by REINFORCE, 16 sessions",
        lambda: agent.fit(worlds[0], steps=STEPS, verbose=0),
        lambda: peer.learn(worlds[1], STEPS),
        work=STEPS,
        unit="symbols",
        repeats=5,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
