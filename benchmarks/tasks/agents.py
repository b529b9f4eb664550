"""Agents: mean return beside that of random play."""

import gymnasium
import numpy as np

from tasks import SEED, Task
from zoo import text
from zoo.applications import DRRN, SVG, TRPO, CommAILearner, PrioritizedDQN
from zoo.environments import commai
from zoo.environments.text_games import TextGame

EPISODES = 10


class FallingBlocks(gymnasium.Env):
    """Four latest frames of a block that falls and a paddle that should catch it, 84 x 84 pixels as the Atari network takes them.

    An episode is ten blocks; a caught one earns 1, a missed one -1.
    """

    observation_space = gymnasium.spaces.Box(0, 255, (84, 84, 4), "uint8")
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        """Start an episode."""
        super().reset(seed=seed)
        self.frames, self.paddle, self.blocks = np.zeros((84, 84, 4), "uint8"), 36, 0
        self._drop()
        self._draw()
        return self.frames.copy(), {}

    def step(self, action):
        """Move the paddle left, not, or right."""
        self.paddle = int(np.clip(self.paddle + 6 * (action - 1), 0, 72))
        self.row, reward = self.row + 6, 0.0
        if self.row >= 76:
            reward = 1.0 if abs(self.column - self.paddle) < 12 else -1.0
            self.blocks += 1
            self._drop()
        self._draw()
        return self.frames.copy(), reward, self.blocks == 10, False, {}

    def _drop(self):
        self.row, self.column = 4, int(self.np_random.integers(13)) * 6

    def _draw(self):
        frame = np.zeros((84, 84), "uint8")
        frame[self.row : self.row + 6, self.column : self.column + 6] = 255
        frame[80:, self.paddle : self.paddle + 12] = 255
        self.frames = np.concatenate([self.frames[..., 1:], frame[..., None]], -1)


def random_return(env, seed=SEED):
    """Mean return of random play."""
    env.action_space.seed(seed)
    total = 0.0
    for episode in range(EPISODES):
        env.reset(seed=seed + episode)
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, ended = total + reward, terminated or truncated
    return total / EPISODES


def _task(agent, make, steps, **how):
    trivial = random_return(make())
    observation, _ = make().reset(seed=SEED)

    def score():
        return "mean return", agent.evaluate(make(), EPISODES, seed=1000, **how)["mean_return"], trivial, True

    return Task(agent, {"env": make(), "steps": steps, "seed": SEED}, score, {"act": lambda: agent.act(observation)})


def task_prioritized_dqn():
    """Blocks that fall, seen as pixels; random play fills the memory for the first 50,000 steps, so that this learns nothing in minutes."""
    return _task(PrioritizedDQN(num_actions=3), FallingBlocks, 10_000_000)


def task_svg():
    """The pendulum's swing."""
    return _task(SVG(), lambda: gymnasium.make("Pendulum-v1"), 8000)


def task_svg_inf():
    """The same by whole trajectories."""
    return _task(SVG(variant="svg_inf"), lambda: gymnasium.make("Pendulum-v1"), 8000)


def task_trpo():
    """The pole on a cart."""
    return _task(TRPO((4,), num_actions=2), lambda: gymnasium.make("CartPole-v1"), 50_000, stochastic=True)


def random_story(episodes=50):
    """Mean return of random choices in the game of texts."""
    rng, game, total = np.random.default_rng(SEED), TextGame("night_courier"), 0.0
    for episode in range(episodes):
        (_, info), ended = game.reset(seed=episode), False
        while not ended:
            _, reward, terminated, truncated, info = game.step(int(rng.integers(len(info["actions"]))))
            total, ended = total + reward, terminated or truncated
    return total / episodes


def task_drrn():
    """A game of texts."""
    world = TextGame("night_courier")
    agent = DRRN(text.learn_vocabulary(world.texts()), text.learn_vocabulary(world.wordings()), max_actions=int(world.action_space.n))

    trivial = random_story()

    def score():
        return "mean return", agent.evaluate(TextGame("night_courier"), 50, seed=1000)["mean_return"], trivial, True

    return Task(agent, {"env": [TextGame("night_courier") for _ in range(8)], "steps": 20_000, "seed": SEED}, score)


def task_comm_ai_learner():
    """The nano tasks of CommAI, sixteen sessions side by side."""
    agent, world = CommAILearner(), commai.CommAIVector(16, tasks="nano", max_reward_per_task=None, seed=SEED)

    def solved(learner):
        return float(np.mean([result.successes.mean() for result in commai.evaluate(learner, "nano", 50, seed=1000).values()]))

    def score():
        return "share of attempts solved", solved(agent.player()), solved(commai.RandomLearner(seed=SEED)), True

    return Task(agent, {"env": world, "steps": 400_000, "seed": SEED}, score, {"act": lambda: agent.act(1)})
