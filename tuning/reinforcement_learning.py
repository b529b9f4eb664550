"""Search prioritized experience replay on CartPole by the mean return late in training."""

import gymnasium

from zoo import applications, tuning


def main():
    """Search the agent; each trial plays the same number of steps."""
    args = tuning.arguments(__doc__, trials=10)
    env = gymnasium.make("CartPole-v1")
    data = {"env": env, "steps": 1500 if args.quick else 20_000, "log_every": 250}
    space = {"observation_shape": env.observation_space.shape, "num_actions": int(env.action_space.n)}
    schedules = {"learning_starts": 500, "epsilon_steps": 5_000, "beta_steps": 20_000, "buffer_size": 20_000}
    tuning.search(applications.PrioritizedDQN, data, **space, **schedules, **args.settings).show()


if __name__ == "__main__":
    main()
