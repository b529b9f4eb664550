"""Stochastic value gradients where the gradient is known in closed form, and on Pendulum: against planning, and with models that are wrong.

    python applications/svg/train.py

On the linear-quadratic problem the gradient of the return is exact, so that estimates can be compared with it. On Pendulum all arms see the
same steps; the planner is SVG(inf) on trajectories that its model imagines, as the paper compares.
"""

import gymnasium
import keras
import numpy as np
from keras import ops
from rich.progress import track

from zoo import autodiff, evidence
from zoo.applications import SVG
from zoo.environments.linear_quadratic import LinearQuadratic, QuadraticReward
from zoo.environments.pendulum import PendulumReward
from zoo.evidence import Claim
from zoo.plots.learning_curves import learning_curves

# linear-quadratic: the policy; steps that models and critics learn from; trajectories of an estimate, and estimates; damage to weights
GAIN, STD, GAMMA = np.array([[-0.3, -0.5]]), 0.4, 0.9
GRADIENT_STEPS, TRAJECTORIES, ESTIMATES, DAMAGE, DAMAGES = 16_000, 50, 20, 0.1, 20
# Pendulum, 10 episodes of 4 copies, resets included; a light one, which needs no swing, for 7; a small model
ROUND = 4 * 201
STEPS, LIGHT_STEPS, EPISODES, LIGHT, SMALL = 10 * ROUND, 7 * ROUND, 50, 2.0, (1,)
REPLAY, PLANNER = "SVG(1) with replay", "planner"
ARMS = {
    REPLAY: {"variant": "svg1"},
    "SVG(1)": {"variant": "svg1", "replay": False},
    "SVG(0)": {"variant": "svg0"},
    "SVG(inf)": {"variant": "svg_inf"},
    PLANNER: {"variant": "svg_inf", "imagined": True},
}
# of the policy; the best of 0.001, 0.003 and 0.01 on seed 100, for every arm and both pendulums alone
RATES = {REPLAY: 3e-3, "SVG(1)": 1e-2, "SVG(0)": 3e-3, "SVG(inf)": 1e-3, PLANNER: 1e-3}
LIGHT_RATES = {REPLAY: 1e-2, "SVG(inf)": 1e-2, PLANNER: 1e-2}
# one setting for all arms
PENDULUM = {"hidden": (64,), "critic_hidden": (64, 64), "std": "fixed", "initial_std": 1.0, "action_limit": 2.0, "gamma": 0.95}
PENDULUM |= {"critic_rate": 3e-3, "model_rate": 3e-3, "clip_norm": 1.0, "batch_size": 128, "learning_starts": 800, "target_update": 40}
PENDULUM |= {"update_period": 4, "horizon": 50, "trajectories": 4, "kl_weight": 0.0}
NOTES = f"""Linear-quadratic problem: a noisy double integrator, 40 steps, discount {GAMMA}, policy a = {GAIN[0].tolist()} s + {STD} eta.
Model and critic learn from {GRADIENT_STEPS} steps of it; then the gradient is estimated {ESTIMATES} times, each from {TRAJECTORIES} new
trajectories. The likelihood ratio takes the same ones, with the mean of each time as a baseline. Damage: normal noise of {DAMAGE} on all
weights of the model, {DAMAGES} times. Pendulum: {STEPS} steps in 4 copies, an update of SVG(0) and SVG(1) every 4 steps, of SVG(inf) and
the planner every {PENDULUM["trajectories"]} pieces of {PENDULUM["horizon"]} steps, and as many updates of the models for all. The light
pendulum has a gravity of {LIGHT:g}, so that the torque lifts it without a swing; {LIGHT_STEPS} steps. Rates of the policy are the best of
0.001, 0.003 and 0.01 for every arm alone, on seed 100: {RATES} (after 10,000 steps), light pendulum {LIGHT_RATES}. All other settings
are one for all arms; they were settled on that seed once SVG(1) learned with them, which may favour it.
SVG(inf) was tried there with pieces of 25 too, single trajectories and a discount of 0.98, and did not find the swing. The planner is
SVG(inf) on trajectories that its model imagines from the starts of the real ones.
Held out: episodes from other seeds than training's, played by the mean of the policy."""


def problem():
    """A noisy double integrator."""
    return LinearQuadratic(noise=0.2, horizon=40)


def gradients(variant, seed, steps):
    """Relative errors of the gradients that an agent estimates once model and critic have learned from `steps` of a policy that stays."""
    keras.utils.set_random_seed(seed)
    env, rng = problem(), np.random.default_rng(1000 + seed)
    sizes = {
        "hidden": (),
        "critic_hidden": (100, 100),
        "std": "learned",
        "initial_std": STD,
        "gamma": GAMMA,
        "horizon": env.horizon,
        "trajectories": 20,
    }
    rates = {
        "policy_rate": 0.0,
        "kl_weight": 0.0,
        "critic_rate": 3e-3,
        "model_rate": 3e-3,
        "batch_size": 256,
        "target_update": 20,
        "update_period": 20,
    }
    updates = {"model_updates": 40 if variant == "svg_inf" else 1}
    agent = SVG((2,), (1,), variant, reward=QuadraticReward(env.q, env.r), **sizes, **rates, **updates)
    agent.policy.mean.kernel.assign(GAIN.T)
    agent.fit(gymnasium.vector.SyncVectorEnv([problem] * 20), steps, verbose=0, seed=seed)
    exact = np.concatenate([np.ravel(part) for part in env.gradient(GAIN, STD, GAMMA)])

    def error(found):
        return float(np.mean(np.linalg.norm(np.array(found) - exact, axis=-1)) / np.linalg.norm(exact))

    batches = [played(env, rng) for _ in range(ESTIMATES)]
    result = {"error": error([estimate(agent, b, rng) for b in batches]), "likelihood ratio": error([likelihood_ratio(b) for b in batches])}
    if agent.dynamics is None:
        return result
    weights, damaged = agent.dynamics.get_weights(), []
    for _ in range(DAMAGES):
        agent.dynamics.set_weights([w + DAMAGE * rng.normal(size=w.shape) for w in weights])
        damaged.append(estimate(agent, batches[0], rng))
    return {**result, "damaged": error(damaged)}


def played(env, rng):
    """Real trajectories of the policy, all at once, as `trajectory_loss` takes them."""
    rows, state = [], rng.normal(size=(TRAJECTORIES, 2))
    for _ in range(env.horizon):
        mean = state @ GAIN.T
        action = mean + STD * rng.normal(size=mean.shape)
        reward, following = env.transition(state, action, rng)
        row = {"observation": state, "action": action, "reward": reward, "next_observation": following}
        rows.append({**row, "mean": mean, "std": STD + 0 * mean, "mask": 1.0 + 0 * reward, "terminated": 0 * reward})
        state = following
    return {name: np.stack([row[name] for row in rows], 1).astype("float32") for name in rows[0]}


def estimate(agent, batch, rng):
    """The gradient of the return in gains and standard deviation, by the agent."""
    scale, loss = 1.0, agent.trajectory_loss
    if agent.variant != "svg_inf":
        # steps are drawn as often as the return counts them
        shares = GAMMA ** np.arange(batch["mask"].shape[1])
        times = rng.choice(len(shares), 4 * batch["mask"].size, p=shares / shares.sum())
        of = rng.integers(TRAJECTORIES, size=len(times))
        batch, scale, loss = {name: array[of, times] for name, array in batch.items()}, shares.sum(), agent.policy_loss
    variables = [agent.policy.mean.kernel, agent.policy.raw]
    _, (of_gain, of_raw) = autodiff.value_and_weight_grad(lambda: loss(batch), variables)
    slope = float(ops.sigmoid(agent.policy.raw)[0])
    return -scale * np.array([*ops.convert_to_numpy(of_gain)[:, 0], float(of_raw[0]) / slope])


def likelihood_ratio(batch):
    """The same by the likelihood ratio, with the mean of each time as its baseline."""
    discounts = GAMMA ** np.arange(batch["mask"].shape[1])
    to_go = np.cumsum((discounts * batch["reward"])[:, ::-1], 1)[:, ::-1]
    z = ((batch["action"] - batch["mean"]) / STD)[..., 0]
    weights = to_go - to_go.mean(0)
    scores = np.concatenate([batch["observation"] * z[..., None] / STD, (z**2 - 1)[..., None] / STD], -1)
    return (weights[..., None] * scores).sum(1).mean(0)


def on_pendulum(arm, seed, steps, gravity=10.0, **arguments):
    """The agent, its mean return after training, and its curve."""
    keras.utils.set_random_seed(seed)
    rate = (RATES if gravity > LIGHT else LIGHT_RATES)[arm]
    # as many steps of model and critic for all arms
    updates = {"model_updates": PENDULUM["horizon"] if ARMS[arm]["variant"] == "svg_inf" else 1}
    agent = SVG((3,), (1,), reward=PendulumReward(), **{**PENDULUM, **updates, **ARMS[arm], "policy_rate": rate, **arguments})
    history = agent.fit(gymnasium.make_vec("Pendulum-v1", 4, g=gravity), steps, verbose=0, seed=seed, log_every=ROUND).history
    env = gymnasium.make_vec("Pendulum-v1", EPISODES, g=gravity)
    played = agent.evaluate(env, EPISODES, seed=10_000 + seed)["mean_return"]
    return {"agent": agent, "return": played, "curve": (history["steps"], history["episode_return"])}


def main():
    """Run both problems over the seeds and write the preset."""
    args = evidence.arguments(__doc__, "svg_pendulum")
    steps, light_steps, gradient_steps = (1000, 1000, 1000) if args.quick else (STEPS, LIGHT_STEPS, GRADIENT_STEPS)
    variants = {"SVG(inf)": "svg_inf", "SVG(1)": "svg1", "SVG(0)": "svg0"}
    errors = {name: [gradients(variants[name], seed, gradient_steps) for seed in args.seeds] for name in track(variants, "Gradients")}
    runs = {arm: [on_pendulum(arm, seed, steps) for seed in args.seeds] for arm in track(ARMS, "Pendulum")}
    light = {}
    for arm in track(LIGHT_RATES, "Light pendulum"):
        light[arm] = [on_pendulum(arm, seed, light_steps, LIGHT) for seed in args.seeds]
        light[f"{arm}, small model"] = [on_pendulum(arm, seed, light_steps, LIGHT, model_hidden=SMALL) for seed in args.seeds]
    for name, found in errors.items():
        print(name, [{what: round(value, 3) for what, value in seed.items()} for seed in found])
    for name, found in [*runs.items(), *light.items()]:
        print(name, [round(run["return"], 1) for run in found])
    figure = learning_curves(
        [{name: [run["curve"] for run in found] for name, found in panel.items()} for panel in (runs, light)],
        titles=["Pendulum-v1: episodes in training", f"Light pendulum (gravity {LIGHT:g})"],
        x_label="steps",
        y_label="mean return",
    )
    best = max(runs[REPLAY], key=lambda run: np.nanmean(run["curve"][1][-3:]))
    evidence.publish(
        best["agent"],
        args,
        [*gradient_claims(args.seeds, errors), *pendulum_claims(args.seeds, runs, light)],
        data="Simulated environments: a linear-quadratic problem, and Pendulum-v1 of gymnasium (MIT). The shipped weights are those of the "
        "run of SVG(1) with replay that did best in its last training episodes.",
        notes=NOTES,
        figure=figure,
    )


def gradient_claims(seeds, errors):
    """Estimates of the gradient against the closed form."""

    def claim(text, paper, baseline, theirs, ours):
        where, metric = f"{ESTIMATES} estimates on the linear-quadratic problem", "relative error of the gradient"
        return Claim(text, paper, where, metric, False, baseline, theirs, ours, seeds)

    def values(arm, of):
        return [found[of] for found in errors[arm]]

    def harm(arm):
        return [found["damaged"] - found["error"] for found in errors[arm]]

    ratio = "likelihood ratio"
    return [
        *(
            claim(
                f"{arm} estimates the gradient better than the likelihood ratio",
                "not measured",
                ratio,
                values(arm, ratio),
                values(arm, "error"),
            )
            for arm in errors
        ),
        claim("A damaged model harms the gradient of SVG(1) less", "more robust (section 6)", "SVG(inf)", harm("SVG(inf)"), harm("SVG(1)")),
    ]


def pendulum_claims(seeds, runs, light):
    """What the arms learned."""
    returns = {arm: [run["return"] for run in found] for arm, found in runs.items()}
    lifted = {arm: [run["return"] for run in found] for arm, found in light.items()}
    lost = {arm: [full - small for full, small in zip(lifted[arm], lifted[f"{arm}, small model"])] for arm in LIGHT_RATES}
    swing, lift = (f"{EPISODES} held-out episodes of {name}" for name in ("Pendulum-v1", "the light pendulum"))
    few = f"{SMALL[0]} hidden unit a dimension for 20 and 20"

    def reaches_more(text, paper, ours, theirs, where=swing, of=returns):
        return Claim(text, paper, where, "mean return", True, theirs, of[theirs], of[ours], seeds)

    def loses_less(text, paper, ours, theirs):
        return Claim(text, paper, lift, f"mean return lost with {few}", False, theirs, lost[theirs], lost[ours], seeds)

    return [
        reaches_more("SVG(1) with replay learns a swing that a planner does not", "not compared", REPLAY, PLANNER),
        reaches_more("SVG(1) with replay learns faster than SVG(inf)", "better on most tasks (section 6)", REPLAY, "SVG(inf)"),
        reaches_more("Replay helps SVG(1)", "better (section 6)", REPLAY, "SVG(1)"),
        reaches_more("A model helps: SVG(1) learns faster than SVG(0)", "better or equal (section 6)", REPLAY, "SVG(0)"),
        reaches_more("Real trajectories teach more than imagined ones", "better (section 6)", "SVG(inf)", PLANNER, lift, lifted),
        loses_less("The planner loses more by a small model than SVG(inf)", "more (section 6)", "SVG(inf)", PLANNER),
        loses_less("SVG(1) loses less by a small model than SVG(inf)", "more robust (section 6)", REPLAY, "SVG(inf)"),
    ]


if __name__ == "__main__":
    main()
