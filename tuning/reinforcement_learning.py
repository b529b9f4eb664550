"""Search prioritized experience replay on CartPole, then DRRN on a game of text, by the mean return late in training."""

import gymnasium

from zoo import applications, tuning
from zoo.environments.text_games import TextGame
from zoo.text import learn_vocabulary


def main():
    """Search both agents; each trial of one plays the same number of steps."""
    args = tuning.arguments(__doc__, trials=10)
    out = args.settings.pop("directory")
    folders = [out and out / name for name in ("prioritized_dqn", "drrn")]
    env = gymnasium.make("CartPole-v1")
    data = {"env": env, "steps": 1500 if args.quick else 20_000, "log_every": 250}
    space = {"observation_shape": env.observation_space.shape, "num_actions": int(env.action_space.n)}
    schedules = {"learning_starts": 500, "epsilon_steps": 5_000, "beta_steps": 20_000, "buffer_size": 20_000}
    tuning.search(applications.PrioritizedDQN, data, directory=folders[0], **space, **schedules, **args.settings).show()
    game = TextGame("night_courier")
    words = {"state_vocabulary": learn_vocabulary(game.texts()), "action_vocabulary": learn_vocabulary(game.wordings())}
    data = {"env": [TextGame("night_courier") for _ in range(8)], "steps": 500 if args.quick else 3000, "log_every": 250}
    tuning.search(applications.DRRN, data, directory=folders[1], **words, replay_period=2, batch_size=64, **args.settings).show()


if __name__ == "__main__":
    main()
