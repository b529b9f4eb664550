"""CommAI: a teacher, a world and a learner that talk over one channel, tasks in levels, scripts that solve them, and their evaluation."""

from zoo.environments.commai.channels import symbols_of, text_of
from zoo.environments.commai.environment import CommAI
from zoo.environments.commai.evaluation import TaskResult, evaluate
from zoo.environments.commai.learners import EchoLearner, MemorizingLearner, RandomLearner, SilentLearner, Speaker
from zoo.environments.commai.schedule import LevelSchedule, RandomSchedule, SequentialSchedule
from zoo.environments.commai.solvers import SCRIPTS, Solver, solve, solver
from zoo.environments.commai.tasks import TASKS, Errand, Exercise, Lookup, Micro, Nano, Question, Silence, Task, errand, question
from zoo.environments.commai.terminal import play
from zoo.environments.commai.vector import CommAIVector
