"""Prioritized replay on the paper's Blind Cliffwalk and on CartPole, against uniform replay of the same experience.

Blind Cliffwalk (sections 3.1 to 3.3, appendix B.1): the memory holds what all 2^n action sequences see, Q-learning replays it one
transition at a time with step size 1/4, and the updates are counted until the mean squared error of the values is below 1e-3. The agent
itself does so for one n; a Q-table with the same memories does so for many n, with greedy replay and with the oracle, which knows the best
next update.
CartPole: both agents play until all validation episodes are perfect; the weights that did best there play the held-out episodes.
"""

import gymnasium
import keras
import numpy as np
from rich.progress import track

from zoo import evidence
from zoo.applications import PrioritizedDQN
from zoo.environments.cliffwalk import BlindCliffwalk
from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, UniformReplay
from zoo.plots.learning_curves import learning_curves

STEP_SIZE, TOLERANCE, CHECK_EVERY, LIMIT = 0.25, 1e-3, 8, 100_000
AGENT_STATES, TABLE_STATES = 8, (2, 4, 6, 8, 10)
STEPS, VALIDATE_EVERY, EPISODES, SOLVED = 30_000, 1000, 20, 475
# the best of 1, 2, 4, 8 e-3 for each, on other seeds
RATES = {"uniform": 4e-3, "proportional": 8e-3}
# the exponent makes rank 1 certain: greedy replay
MEMORIES = {
    "uniform": UniformReplay,
    "proportional": ProportionalReplay,
    "rank-based": RankReplay,
    "greedy": lambda *args, **kwargs: RankReplay(*args, alpha=100.0, **kwargs),
}
NOTES = """Blind Cliffwalk: every transition is replayed alone, so importance weights are 1, as in the paper's figure 7. CartPole: at most
30,000 steps of four copies of the environment, one update for two steps, the same schedules for both memories; rewards are not clipped,
TD errors are. For each memory the step size of Adam is the best of 0.001, 0.002, 0.004 and 0.008 on six other training seeds: 0.004 for
uniform, 0.008 for proportional replay. Every 1000 steps 20 validation episodes are played; they choose the weights and end the training
once all reach the time limit of 500. 100 episodes with other seeds are reported. Runs differ much, hence twice the seeds. CartPole's
rewards are not rare, so that less is to be gained than on Blind Cliffwalk."""


def main():
    """Run both problems over the seeds and write the preset."""
    args = evidence.arguments(__doc__, "prioritized_dqn_cartpole")
    states, sizes, steps = (4, (2, 4), 3000) if args.quick else (AGENT_STATES, TABLE_STATES, STEPS)
    updates = {replay: [agent_on_cliffwalk(replay, states, seed) for seed in args.seeds] for replay in ("uniform", "proportional", "rank")}
    print("Blind Cliffwalk, updates of the agent:", updates)
    table = {
        memory: [([2 ** (n + 1) - 2 for n in sizes], [table_on_cliffwalk(memory, n, seed) for n in sizes]) for seed in args.seeds]
        for memory in track([*MEMORIES, "oracle"], "Blind Cliffwalk, Q-table")
    }
    # steps until solved differ much from seed to seed: twice as many
    pole_seeds = list(range(2 * len(args.seeds)))
    played = {replay: [agent_on_cartpole(replay, steps, seed) for seed in pole_seeds] for replay in RATES}
    best = max(played["proportional"], key=lambda run: run["validation"])
    figure = learning_curves(
        [table, {replay: [(x, np.maximum.accumulate(y)) for x, y in (run["curve"] for run in runs)] for replay, runs in played.items()}],
        titles=["Blind Cliffwalk: updates of a Q-table", "CartPole-v1: best validation so far"],
        x_label=["transitions in memory", "steps"],
        y_label=["updates until MSE < 1e-3", "mean return"],
        log=[True, False],
        threshold=SOLVED,
    )
    evidence.publish(
        best["model"],
        args,
        claims(args.seeds, states, updates, table) + pole_claims(pole_seeds, played),
        data="Simulated environments: Blind Cliffwalk of the paper, CartPole-v1 of gymnasium (MIT). The shipped weights are those of the "
        "proportional run that did best in validation.",
        notes=NOTES,
        figure=figure,
    )


def claims(seeds, states, updates, table):
    """What the paper says of Blind Cliffwalk, and what came out."""
    cliff = {"higher_is_better": False, "seeds": seeds, "baseline": "uniform replay"}
    result = [
        evidence.Claim(
            f"The agent learns Blind Cliffwalk in far fewer updates with {replay} replay",
            paper_value="several times to orders of magnitude fewer, growing with n (figures 2 and 7)",
            dataset=f"Blind Cliffwalk, n = {states}",
            metric="updates until MSE < 1e-3",
            baseline_values=updates["uniform"],
            values=updates[replay],
            **cliff,
        )
        for replay in ("proportional", "rank")
    ]
    result.append(
        evidence.Claim(
            "So does a Q-table that always replays the largest TD error (greedy)",
            paper_value="orders of magnitude fewer (figure 2)",
            dataset=f"Blind Cliffwalk, {table['uniform'][0][0][-1]} transitions",
            metric="updates until MSE < 1e-3",
            baseline_values=[y[-1] for _, y in table["uniform"]],
            values=[y[-1] for _, y in table["greedy"]],
            **cliff,
        )
    )
    return result


def pole_claims(seeds, played):
    """The same for CartPole."""
    return [
        evidence.Claim(
            "Proportional replay solves CartPole in fewer steps than uniform replay",
            paper_value="on Atari, the median score of uniform replay's whole training after 38 % of the steps (figure 4)",
            dataset=f"{EPISODES} validation episodes of CartPole-v1",
            metric=f"steps until their mean return is {SOLVED}",
            higher_is_better=False,
            baseline="uniform replay",
            baseline_values=[run["solved"] for run in played["uniform"]],
            values=[run["solved"] for run in played["proportional"]],
            seeds=seeds,
        ),
        evidence.Claim(
            "The agent solves CartPole",
            paper_value="not reported",
            dataset="100 held-out episodes of CartPole-v1",
            metric="mean return",
            higher_is_better=True,
            baseline="the threshold of gymnasium",
            baseline_values=[SOLVED] * len(seeds),
            values=[run["return"] for run in played["proportional"]],
            seeds=seeds,
        ),
    ]


def agent_on_cliffwalk(replay, n, seed):
    """Updates of a linear `PrioritizedDQN` until its values are right."""
    keras.utils.set_random_seed(seed)
    env = BlindCliffwalk(n)
    agent = PrioritizedDQN(
        observation_shape=(n,),
        num_actions=2,
        hidden=(),
        replay=replay,
        double=False,
        gamma=env.discount,
        buffer_size=2 ** (n + 1) - 2,
        batch_size=1,
        td_clip=None,
    )
    agent.compile(optimizer=keras.optimizers.SGD(STEP_SIZE))
    rng = np.random.default_rng(seed)
    agent.online.set_weights([rng.normal(0, 0.1, w.shape) for w in agent.online.weights])
    agent.update_target()
    agent.remember(**env.all_episodes(seed))
    states, truth = np.eye(n, dtype="float32"), env.optimal_values()
    for update in range(1, LIMIT + 1):
        agent.learn()
        agent.update_target()
        if update % CHECK_EVERY == 0 and np.mean((keras.ops.convert_to_numpy(agent(states)) - truth) ** 2) < TOLERANCE:
            break
    return update


def table_on_cliffwalk(memory, n, seed):
    """Updates of a Q-table until its values are right, replaying from one of `MEMORIES` or as the oracle says."""
    env = BlindCliffwalk(n)
    data, truth = env.all_episodes(seed), env.optimal_values()
    data["state"] = data.pop("observation").argmax(1)
    following = np.minimum(data["state"] + 1, n - 1)
    values = np.random.default_rng(seed).normal(0, 0.1, (n, 2))
    # transitions of one state and action are alike: the oracle looks at one of each
    _, kinds = np.unique(2 * data["state"] + data["action"], return_index=True)
    replay = None
    if memory != "oracle":
        replay = MEMORIES[memory](len(data["state"]), {"row": ((), "int64")}, seed=seed)
        replay.add(row=np.arange(len(data["state"])))

    def error(row):
        best = values[following[row]].max(-1) * (1 - data["terminated"][row])
        return data["reward"][row] + env.discount * best - values[data["state"][row], data["action"][row]]

    for update in range(1, LIMIT + 1):
        if replay is None:
            left = truth[data["state"][kinds], data["action"][kinds]] - values[data["state"][kinds], data["action"][kinds]]
            row = kinds[np.argmax(left**2 - (left - STEP_SIZE * error(kinds)) ** 2)]
        else:
            row = replay.sample(1).indices[0]
        delta = error(row)
        values[data["state"][row], data["action"][row]] += STEP_SIZE * delta
        if replay is not None:
            replay.update(np.array([row]), [delta])
        if update % CHECK_EVERY == 0 and np.mean((values - truth) ** 2) < TOLERANCE:
            break
    return update


def agent_on_cartpole(replay, steps, seed):
    """Train, keep the weights that did best in validation, and play held-out episodes."""
    print(f"CartPole, {replay} replay, seed {seed}")
    keras.utils.set_random_seed(seed)
    agent = PrioritizedDQN(
        observation_shape=(4,),
        num_actions=2,
        hidden=(128, 128),
        replay=replay,
        beta_steps=steps,
        buffer_size=50_000,
        batch_size=64,
        learning_starts=1000,
        replay_period=2,
        target_update=200,
        epsilon_end=0.04,
        epsilon_steps=6000,
        reward_clip=None,
    )
    agent.compile(optimizer=keras.optimizers.Adam(RATES[replay]))
    best = KeepBest(seed)
    agent.fit(gymnasium.make_vec("CartPole-v1", num_envs=4), steps, callbacks=best, log_every=VALIDATE_EVERY, verbose=2, seed=seed)
    held_out = agent.evaluate(gymnasium.make_vec("CartPole-v1", num_envs=50), episodes=100, seed=20_000 + seed)
    solved = next((step for step, score in zip(*best.curve) if score >= SOLVED), steps)
    return {"model": agent, "return": held_out["mean_return"], "validation": max(best.curve[1]), "solved": solved, "curve": best.curve}


class KeepBest(keras.callbacks.Callback):
    """Plays validation episodes after each epoch; ends with the best weights, at once if nothing can be better.

    Args:
        seed: of the episodes.
    """

    def __init__(self, seed):
        super().__init__()
        self.env, self.seed = gymnasium.make_vec("CartPole-v1", num_envs=EPISODES), 10_000 + seed
        self.curve, self.weights = ([], []), None

    def on_epoch_end(self, epoch, logs=None):
        """Validate."""
        score = self.model.evaluate(self.env, EPISODES, seed=self.seed)["mean_return"]
        if not self.curve[1] or score > max(self.curve[1]):
            self.weights = self.model.online.get_weights()
        self.curve[0].append(logs["steps"])
        self.curve[1].append(score)
        logs["validation"] = score
        self.model.stop_training = score == self.env.spec.max_episode_steps

    def on_train_end(self, logs=None):
        """Go back to the best weights."""
        self.model.online.set_weights(self.weights)
        self.model.update_target()


if __name__ == "__main__":
    main()
