"""Learners of CommAI on the first tasks: REINFORCE and Q-learning beside random play and scripts, and skills that build on one another.

    KERAS_BACKEND=jax python applications/comm_ai_learner/train.py

The paper has no figures: what is measured is what it asks for, tasks solved in the end and attempts that it took.
"""

from functools import partial

import keras
import numpy as np

from zoo import evidence
from zoo.applications import CommAILearner
from zoo.environments import commai
from zoo.environments.commai.learners import Listener, SilentLearner
from zoo.evidence import Choice, Claim
from zoo.plots.learning_curves import learning_curves

# what is played: tasks, channel, letters that can be said, and for how many symbols
WORLDS = {
    "nano": ("nano", "bit", None, 300_000),
    "silence": (commai.Silence(penalty=1.0), "byte", " \0\1", 100_000),
    "repeat": (commai.Micro("repeat", 2, 2), "byte", " ab.", 200_000),
}
# rate and weight of the entropy, or rate and updates after a window
SETTINGS = {"reinforce": ((5e-3, 0.03), (3e-3, 0.2)), "q": ((3e-3, 4), (1e-3, 4))}
NAMES = {"reinforce": "REINFORCE", "q": "Q-learning"}
COPIES, ATTEMPTS, POINTS = 16, 50, 20
# symbols for an earlier task, and for the one that is to build on it
BUILDING = 100_000
# attempts of a fresh learner, and the successes in a row that it shall have
TRIALS, ROW = 500, 5
KNOWN, NEW = ["nano_0", "nano_1", "nano_10"], "nano_11"
SPANS = ", ".join(f"{steps:,} symbols for {world}" for world, (*_, steps) in WORLDS.items())
NOTES = f"""All learners are the class with its defaults but for what is listed; {COPIES} sessions side by side, {SPANS}; tasks in
random order, paid without limit. A task is then played {ATTEMPTS} times by the best symbols, without learning. `nano`: the four nano tasks,
bit by bit. `silence`: `be_silent` with a penalty of 1, byte by byte; the learner can say a silence and the bytes 0 and 1. `repeat`: two
letters of two, such as "ab.", with a full stop, of four letters that can be said. Who does not listen says the same symbol for ever, the
better of the two, nothing at all, or the same answer after each text; in `silence` that is already all. Silence and nano tasks in one
session, tried once: both learners learn the nano tasks and speak in the silence, which is right by their discounted reward. To fail at once
costs 1, and a nano task that pays comes next, while silence pays after some seventy bytes; the limit of rewards that the environment has is
the roadmap's own answer. Where a wrong character costs as much as success pays, REINFORCE is drawn to silence, which costs nothing, and a
larger weight of the entropy holds it back, or does not. Skills that build on one another: {BUILDING:,} symbols of an earlier task and as
many of `repeat`, by the learner that solved more of `repeat` with the seed for choices; the bytes of the nano tasks can be said as well,
and Q-learning explores from 0.3 on in each part. A fresh learner that plays one task alone explores from 1 to 0.02 within 2,000 symbols."""


def made(world, learning, setting, seed, **options):
    """A learner of a world."""
    _, channel, alphabet, _ = WORLDS[world]
    rate, other = setting
    keras.utils.set_random_seed(seed)
    options = {"alphabet": alphabet, "entropy" if learning == "reinforce" else "updates": other, **options}
    agent = CommAILearner(channel, learning=learning, **options)
    agent.optimizer.learning_rate = rate
    return agent


def practised(agent, tasks, seed, steps, points=1):
    """Let an agent learn; gives the mean reward of a symbol in each part of it, and the share of its attempts that it solved."""
    world = commai.CommAIVector(COPIES, tasks=tasks, channel=agent.channel, schedule="random", max_reward_per_task=None, seed=seed)
    history = agent.fit(world, steps=steps, log_every=steps // points, verbose=0, seed=seed).history
    solved, attempts = (sum(sum(getattr(env, name).values()) for env in world.envs) for name in ("solved", "attempts"))
    return history["reward"], solved / attempts


def solved(learner, world, seed):
    """Share of attempts that a learner solves, mean over tasks; a function of a task's name gives one for each."""
    tasks, channel, *_ = WORLDS[world]
    results = commai.evaluate(learner, tasks, ATTEMPTS, channel=channel, seed=1000 + seed)
    return float(np.mean([result.successes.mean() for result in results.values()]))


def learned(world, learning, setting, seed, steps):
    """What an agent reaches, and its curve."""
    agent = made(world, learning, setting, seed)
    curve, _ = practised(agent, WORLDS[world][0], seed, steps, POINTS)
    return {"solved": solved(agent.player(), world, seed), "curve": curve}


def built_on(learning, setting, seed, steps):
    """Share of attempts at `repeat` that are solved while it is learned: from the start, and after other things."""
    earlier = {"nothing": None, "one letter": commai.Micro("repeat", 2, 1), "nano tasks": "nano", "repeat": WORLDS["repeat"][0]}
    found = {}
    for before, tasks in earlier.items():
        agent = made("repeat", learning, setting, seed, alphabet=" ab.\0\1", epsilon_start=0.3)
        if tasks is not None:
            practised(agent, tasks, seed, steps)
            # each part is explored as much
            agent.steps.assign(0)
            agent.memory = None
        found[before] = practised(agent, WORLDS["repeat"][0], 500 + seed, steps)[1]
    return found


def needed(tasks, learning, setting, seed, trials, known=None, steps=0):
    """Attempts at a task until a learner has a row of successes; it is fresh, or has practised known tasks."""
    agent = made("nano", learning, setting, seed, epsilon_steps=2000)
    if known:
        practised(agent, known, seed, steps)
    (result,) = commai.evaluate(agent.player(learns=True), tasks, trials, k=ROW, seed=2000 + seed).values()
    return result.in_a_row or trials


class Random:
    """Says any of the symbols that the learners of a world can say."""

    def __init__(self, world, seed):
        _, channel, alphabet, _ = WORLDS[world]
        self.symbols = np.arange(2) if alphabet is None else np.array(list(alphabet.encode()))
        self.rng = np.random.default_rng(seed)

    def act(self, observation, reward=0.0):
        """A symbol."""
        return int(self.rng.choice(self.symbols))


class SameAnswer(Listener):
    """Says the same after each text."""

    def told(self, text):
        """Say it."""
        self.say("aa.")


class SameSymbol:
    """Says one symbol for ever."""

    def __init__(self, symbol):
        self.symbol = symbol

    def act(self, observation, reward=0.0):
        """The symbol."""
        return self.symbol


DEAF = {
    "nano": (SameSymbol(0), SameSymbol(1)),
    "silence": (SilentLearner("byte"),),
    "repeat": (SilentLearner("byte"), SameAnswer("byte")),
}


def claims(found, seeds):
    """What the roadmap asks for, and what came out."""
    result = []
    for world in WORLDS:
        for learning, name in NAMES.items():
            claim = partial(
                Claim,
                paper_value="not in the paper",
                dataset=f"{world}, {ATTEMPTS} attempts a task",
                metric="share of attempts solved",
                higher_is_better=True,
                values=[row["solved"] for row in found[world, learning]],
                seeds=seeds,
            )
            deaf, scripts = found[world, "deaf"], found[world, "script"]
            if world != "silence":
                result.append(claim(f"{name} listens: {world}", baseline="who does not listen", baseline_values=deaf, matters=0.1))
            result.append(
                claim(f"{name} solves {world} as a script does (within 0.05)", baseline="script", baseline_values=scripts, margin=0.05)
            )
    able, rows = next((learning, found["built", learning]) for learning in NAMES if ("built", learning) in found)
    for before, sentence in (
        ("nothing", "Who can repeat one letter solves more of the first attempts at two"),
        ("nano tasks", "An earlier task helps that is part of the new one, more than another one"),
        ("repeat", "One letter first is better than two letters for all of the time"),
    ):
        result.append(
            Claim(
                f"{sentence} ({NAMES[able]})",
                "section 2.5, without figures",
                f"`repeat`, {BUILDING:,} symbols",
                "share of attempts solved while learning",
                True,
                f"before: {before}",
                [row[before] for row in rows],
                [row["one letter"] for row in rows],
                seeds,
                matters=0.02,
            )
        )
    result.append(
        Claim(
            "Who knows three nano tasks needs fewer attempts at the fourth (REINFORCE)",
            "section 2.7, without figures",
            f"{NEW}, at most {TRIALS} attempts",
            f"attempts until {ROW} successes in a row",
            False,
            "fresh learners",
            found["needed", "reinforce", NEW],
            found["needed", "reinforce", "new"],
            seeds,
            matters=1.0,
        )
    )
    return result


def summary(found, tasks):
    """Mean shares, and attempts that were needed."""
    lines = ["", "", "| world | random | does not listen | script | REINFORCE | Q-learning |", "|---|---|---|---|---|---|"]
    for world in WORLDS:
        cells = [np.mean(found[world, who]) for who in ("random", "deaf", "script")]
        cells += [np.mean([row["solved"] for row in found[world, learning]]) for learning in NAMES]
        lines.append(f"| {world} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    lines += ["", f"Attempts until {ROW} successes in a row, of a fresh learner that plays one task alone (median; {TRIALS} is never).", ""]
    lines += ["| task | random | REINFORCE | Q-learning |", "|---|---|---|---|"]
    for task in tasks:
        cells = (f"{np.median(found['needed', learning, task]):.0f}" for learning in ("random", *NAMES))
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Choose settings, let learners learn, compare, publish."""
    args = evidence.arguments(__doc__, "comm_ai_learner_nano")
    trials = 4 if args.quick else TRIALS
    tasks = [f"nano_{symbols}" for symbols in ("0", "1", "10", "11")]
    found, chosen, developed = {}, {}, {}
    spans = {world: 2000 if args.quick else steps for world, (*_, steps) in WORLDS.items()}
    for world, steps in spans.items():
        script = partial(commai.solver, channel=WORLDS[world][1])
        found[world, "script"] = [solved(script, world, seed) for seed in args.seeds]
        found[world, "random"] = [solved(Random(world, seed), world, seed) for seed in args.seeds]
        deaf = max(DEAF[world], key=lambda learner: solved(learner, world, 1000))
        found[world, "deaf"] = [solved(deaf, world, seed) for seed in args.seeds]
        for learning, settings in SETTINGS.items():
            settings = settings[:1] if args.quick else settings
            jobs = {str(setting): partial(learned, world, learning, setting, 1000, steps) for setting in settings}
            scores = evidence.finished(args, f"settings of {learning}, {world}", jobs)
            best = max(scores, key=lambda name: (scores[name]["solved"], np.mean(scores[name]["curve"])))
            chosen[world, learning] = next(setting for setting in settings if str(setting) == best)
            developed[world, learning] = scores[best]["solved"]
            jobs = {str(seed): partial(learned, world, learning, chosen[world, learning], seed, steps) for seed in args.seeds}
            found[world, learning] = list(evidence.finished(args, f"{learning}, {world}", jobs).values())
    able = max(NAMES, key=lambda learning: developed["repeat", learning])
    setting, building = chosen["repeat", able], 2000 if args.quick else BUILDING
    jobs = {str(seed): partial(built_on, able, setting, seed, building) for seed in args.seeds}
    found["built", able] = list(evidence.finished(args, f"building on, {able}", jobs).values())
    for learning in NAMES:
        setting = chosen["nano", learning]
        jobs = {f"{task} {seed}": partial(needed, task, learning, setting, seed, trials) for task in tasks for seed in args.seeds}
        if learning == "reinforce":
            more = {"known": KNOWN, "steps": spans["nano"]}
            jobs |= {f"new {seed}": partial(needed, NEW, learning, setting, seed, trials, **more) for seed in args.seeds}
        attempts = evidence.finished(args, f"attempts, {learning}", jobs)
        for task in [*tasks, "new"]:
            found["needed", learning, task] = [attempts.get(f"{task} {seed}") for seed in args.seeds]
    for task in tasks:
        played = [commai.evaluate(Random("nano", seed), task, trials, k=ROW, seed=2000 + seed)[task].in_a_row for seed in args.seeds]
        found["needed", "random", task] = [attempt or trials for attempt in played]
    shipped = made("nano", "reinforce", chosen["nano", "reinforce"], 0)
    practised(shipped, WORLDS["nano"][0], 0, spans["nano"])
    panels = []
    for world, steps in spans.items():
        curves = {name: [row["curve"] for row in found[world, learning]] for learning, name in NAMES.items()}
        panels.append({name: [(np.linspace(0, steps, len(one) + 1)[1:], one) for one in each] for name, each in curves.items()})
    drawn = learning_curves(panels, titles=list(WORLDS), x_label="symbols", y_label="reward of a symbol")
    settings = "; ".join(f"{NAMES[learning]} on {world} {setting}" for (world, learning), setting in chosen.items())
    tries = {name: 1 if args.quick else len(SETTINGS[learning]) for learning, name in NAMES.items()}
    choice = Choice("the same tasks, another seed", f"rate, and weight of the entropy or updates after a window: {settings}", tries)
    data = "Simulated tasks of `zoo.environments.commai`, rules after CommAI-env; no data set."
    evidence.publish(shipped, args, claims(found, args.seeds), data, NOTES + summary(found, tasks), drawn, choices=[choice])


if __name__ == "__main__":
    main()
