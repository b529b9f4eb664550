"""TRPO on a small world that is known in full, on CartPole and on Pendulum: against plain and natural policy gradients.

    python applications/trpo/train.py

In the small world, a slippery grid, the expected return of every policy is exact, so that it can be seen whether an update made the policy
worse. On CartPole and Pendulum, whose actions are continuous, all updates see the same number of steps. Plain and natural gradients take
steps of a fixed length, the best of several on other seeds. CartPole also compares the vine with paths.
"""

import gymnasium
import keras
import numpy as np
from keras import ops
from rich.progress import track

from zoo import evidence
from zoo.applications import TRPO
from zoo.environments.tabular import TabularMDP
from zoo.evidence import Claim
from zoo.plots.learning_curves import learning_curves

GRID_STEPS, GRID_BATCH, STEPS, BATCH, EPISODES = 8000, 250, 20_000, 1000, 50
TRUST, LONGER, NATURAL, PLAIN = "trust region", "trust region, chosen size", "natural gradient", "plain gradient"
VALUE, VINE = "trust region, value baseline", "trust region, vine"
UPDATES = {TRUST: {}, NATURAL: {"update": "natural"}, PLAIN: {"update": "vanilla"}}
# lengths of the other steps, and the size of a trust region; how they were chosen is in the notes
GRID_RATES, RATES, TORQUE_RATES = {NATURAL: 10.0, PLAIN: 100.0}, {NATURAL: 0.1, PLAIN: 0.1}, {NATURAL: 0.3, PLAIN: 0.01}
GRID_DELTA = 0.3
VINE_SETTINGS = {"procedure": "vine", "vine_paths": 2, "vine_states": 20, "vine_length": 25}
TORQUE_STEPS = 100_000
TORQUE = {"hidden": (64, 64), "batch_steps": 2048, "path_length": 200, "baseline": "value", "gamma": 0.9, "lam": 0.95}
NOTES = f"""Grid: 4 x 4 states, moves slip to a side with probability 0.2, a goal of 1 and two pits of -1 end it, discount 0.95;
linear policy, {GRID_STEPS} steps in batches of {GRID_BATCH}. CartPole: {STEPS} steps in batches of {BATCH} (the paper: 50,000 in a
batch), one layer of 30 units; rewards are summed up with a discount of 0.99, without a baseline as in the paper. The vine plays one
environment: paths, then from {VINE_SETTINGS["vine_states"]} of their states both actions, for {VINE_SETTINGS["vine_length"]} steps each;
all of it counts. Pendulum: {TORQUE_STEPS} steps in batches of {TORQUE["batch_steps"]}, two layers of 64 units, discount
{TORQUE["gamma"]}, and for all updates a value baseline with lambda {TORQUE["lam"]}. After training {EPISODES} episodes are played, CartPole
by draws from the policy, Pendulum by its mean.

The trust region has the paper's divergence of 0.01 throughout, but for the grid's "{LONGER}". Lengths of the other steps have the best mean
return at the end over the seeds 100, 101 and 102 (Pendulum: 100, and the best ones again on 101). Grid: natural of 0.1, 0.3, 1, 3 and 10,
plain of 1, 3, 10, 30 and 100, divergence of 0.003, 0.01, 0.03, 0.1 and 0.3. The longest is the best at the end in each case; of plain
steps by a policy that keeps off pits and goal alike. CartPole: natural of 0.01, 0.03, 0.1, 0.3 and 1, plain of 0.01, 0.03, 0.1, 0.3, 1, 3
and 10; of the divergences above 0.01 is the best there. Pendulum: natural of 0.01, 0.03, 0.1, 0.3 and 1, plain of 0.001, 0.003, 0.01 and
0.03."""


def grid():
    """The slippery grid as a `TabularMDP`."""
    size, goal, pits = 4, 15, (6, 9)
    moves = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
    places = np.stack(np.divmod(np.arange(size * size), size), 1)
    following = np.clip(places[:, None] + moves, 0, size - 1) @ [size, 1]
    transitions = np.zeros((size * size, 4, size * size))
    for turn, share in ((0, 0.8), (1, 0.1), (3, 0.1)):
        for action in range(4):
            transitions[np.arange(size * size), action, following[:, (action + turn) % 4]] += share
    rewards = transitions[..., goal] - transitions[..., list(pits)].sum(-1)
    return TabularMDP(transitions, rewards, np.eye(size * size)[0], 0.95, (goal, *pits))


class ExactReturns(keras.callbacks.Callback):
    """Keeps the exact expected return after each update.

    Args:
        world: a `TabularMDP`.
    """

    def __init__(self, world):
        super().__init__()
        self.world, self.returns, self.steps = world, [], []

    def look(self):
        """The exact return of the present policy."""
        states = np.eye(len(self.world.start), dtype="float32")
        self.returns.append(self.world.expected_return(ops.convert_to_numpy(ops.softmax(self.model(states)))))
        self.steps.append(int(self.model.steps))

    def on_train_begin(self, logs=None):
        """Before the first update."""
        self.look()

    def on_epoch_end(self, epoch, logs=None):
        """After each update."""
        self.look()


def compiled(rate=None, **arguments):
    """An agent, with a fixed length of steps where it needs one."""
    agent = TRPO(**arguments)
    if rate is not None:
        agent.compile(optimizer=keras.optimizers.SGD(rate))
    return agent


def in_the_grid(seed, steps, rate=None, **arguments):
    """Steps, and exact returns in percent of the best policy's."""
    keras.utils.set_random_seed(seed)
    world = grid()
    arguments |= {"observation_shape": (16,), "num_actions": 4, "hidden": (), "gamma": world.discount, "batch_steps": GRID_BATCH}
    agent = compiled(rate, **arguments)
    exact = ExactReturns(world)
    envs = gymnasium.vector.SyncVectorEnv([grid] * 8, autoreset_mode="SameStep")
    agent.fit(envs, steps, callbacks=exact, verbose=0, seed=seed)
    return np.array(exact.steps), 100 * np.array(exact.returns) / world.optimal_return()


def on_cartpole(seed, steps, rate=None, **arguments):
    """The agent, its mean return after training, and its curve."""
    keras.utils.set_random_seed(seed)
    agent = compiled(rate, observation_shape=(4,), num_actions=2, batch_steps=BATCH, fisher_share=0.2, **arguments)
    vine = agent.procedure == "vine"
    env = gymnasium.make("CartPole-v1") if vine else gymnasium.make_vec("CartPole-v1", 8)
    history = agent.fit(env, steps, verbose=0, seed=seed, log_every=BATCH).history
    played = agent.evaluate(gymnasium.make_vec("CartPole-v1", EPISODES), EPISODES, seed=10_000 + seed, stochastic=True)["mean_return"]
    return {"agent": agent, "return": played, "kl": np.nanmax(history["kl"]), "curve": (history["steps"], history["episode_return"])}


def on_pendulum(seed, steps, rate=None, **arguments):
    """Mean return after training, and the curve."""
    keras.utils.set_random_seed(seed)
    agent = compiled(rate, observation_shape=(3,), action_shape=(1,), **TORQUE, **arguments)
    history = agent.fit(gymnasium.make_vec("Pendulum-v1", 16), steps, verbose=0, seed=seed).history
    played = agent.evaluate(gymnasium.make_vec("Pendulum-v1", EPISODES), EPISODES, seed=10_000 + seed)["mean_return"]
    return {"return": played, "curve": (history["steps"], history["episode_return"])}


def main():
    """Run the problems over the seeds and write the preset."""
    args = evidence.arguments(__doc__, "trpo_cartpole")
    grid_steps, steps, torque_steps = (1200, 2000, 4096) if args.quick else (GRID_STEPS, STEPS, TORQUE_STEPS)

    def played(play, steps, arms, rates):
        """What each arm came to, a list over the seeds."""
        return {arm: [play(seed, steps, rates.get(arm), **how) for seed in args.seeds] for arm, how in track(arms.items(), play.__name__)}

    worlds = played(in_the_grid, grid_steps, {**UPDATES, LONGER: {"delta": GRID_DELTA}}, GRID_RATES)
    poles = played(on_cartpole, steps, {**UPDATES, VALUE: {"baseline": "value", "lam": 0.97}, VINE: VINE_SETTINGS}, RATES)
    torques = played(on_pendulum, torque_steps, UPDATES, TORQUE_RATES)
    for arm, runs in poles.items():
        print(arm, [round(run["return"], 1) for run in runs], "largest divergence", [round(float(run["kl"]), 4) for run in runs])
    for arm, runs in torques.items():
        print("Pendulum,", arm, [round(run["return"]) for run in runs])
    best = max(poles[VALUE], key=lambda run: np.nanmean(run["curve"][1][-3:]))
    figure = learning_curves(
        [worlds, *({arm: [run["curve"] for run in runs] for arm, runs in problem.items()} for problem in (poles, torques))],
        titles=["Slippery grid: exact return", "CartPole-v1: episodes in training", "Pendulum-v1: episodes in training"],
        x_label="steps",
        y_label=["% of the best policy's", "mean return", "mean return"],
    )
    evidence.publish(
        best["agent"],
        args,
        [*grid_claims(args.seeds, worlds), *pole_claims(args.seeds, poles), *torque_claims(args.seeds, torques)],
        data="Simulated environments: a slippery grid, CartPole-v1 and Pendulum-v1 of gymnasium (MIT). The shipped weights are those of "
        "the run with a value baseline that did best in its last training episodes.",
        notes=NOTES,
        figure=figure,
    )


def grid_claims(seeds, worlds):
    """What the updates reach, where it can be seen exactly."""
    last = {arm: [float(returns[-1]) for _, returns in runs] for arm, runs in worlds.items()}

    def claim(text, paper, metric, higher, values, ours, theirs):
        where = f"slippery grid, {worlds[TRUST][0][0][-1]} steps"
        return Claim(text, paper, where, metric, higher, theirs, values[theirs], values[ours], seeds)

    reached = "exact return (% of the best policy's)"
    return [
        claim("A trust region reaches more than plain gradients", "better (figure 4)", reached, True, last, LONGER, PLAIN),
        claim("A trust region reaches more than natural gradients", "better or equal (figure 4)", reached, True, last, LONGER, NATURAL),
    ]


def pole_claims(seeds, poles):
    """The same for CartPole, and the ways to gather experience."""
    returns = {arm: [run["return"] for run in runs] for arm, runs in poles.items()}

    def claim(text, paper, ours, theirs):
        where = f"{EPISODES} held-out episodes of CartPole-v1"
        return Claim(text, paper, where, "mean return", True, theirs, returns[theirs], returns[ours], seeds)

    return [
        claim("The trust region learns faster than plain gradients", "better on all tasks (figure 4)", TRUST, PLAIN),
        claim("The trust region learns faster than natural gradients", "equal on cart-pole (figure 4)", TRUST, NATURAL),
        claim("The vine learns faster than paths, for the same steps of the simulator", "about equal (figure 4)", VINE, TRUST),
        claim("A value baseline, which came later, helps", "not in the paper", VALUE, TRUST),
        Claim(
            "No update leaves the trust region",
            "mean divergence at most 0.01",
            "CartPole-v1, all updates",
            "largest mean divergence (nats)",
            False,
            PLAIN,
            [float(run["kl"]) for run in poles[PLAIN]],
            [float(run["kl"]) for run in poles[TRUST]],
            seeds,
        ),
    ]


def torque_claims(seeds, torques):
    """Continuous actions."""
    returns = {arm: [run["return"] for run in runs] for arm, runs in torques.items()}
    where = f"{EPISODES} held-out episodes of Pendulum-v1"
    paper = {PLAIN: "better on all tasks (figure 4)", NATURAL: "better on the harder tasks (figure 4)"}
    return [
        Claim(
            f"With continuous actions it learns faster than: {arm}",
            source,
            where,
            "mean return",
            True,
            arm,
            returns[arm],
            returns[TRUST],
            seeds,
        )
        for arm, source in paper.items()
    ]


if __name__ == "__main__":
    main()
