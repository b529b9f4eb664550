"""All tasks by name, and the choice of some of them."""

from zoo.environments.commai import checks
from zoo.environments.commai.tasks import asking, counting, facts, micro, navigation, repetition, silence
from zoo.environments.commai.tasks.base import Errand, Exercise, Question, Task, errand, fresh, question
from zoo.environments.commai.tasks.micro import Lookup, Micro
from zoo.environments.commai.tasks.silence import Nano, Silence

ROOMS = (silence, repetition, facts, counting, navigation, asking, micro)
TASKS = {task.name: task for room in ROOMS for task in room.TASKS}
LEVELS = tuple(range(1 + max(task.level for task in TASKS.values())))
GROUPS = ("all", "nano", "micro", *(f"level{level}" for level in LEVELS))


def chosen(tasks):
    """A list of fresh tasks.

    Args:
        tasks: `"all"`, `"nano"`, `"micro"`, `"level0"` to `"level5"`, the name of a task, a `Task`, or a list of these.

    Raises:
        ValueError: if there is no such task, none at all, or two of one name.
    """
    listed = [tasks] if isinstance(tasks, (str, Task)) else tasks
    if not isinstance(listed, (list, tuple)) or not listed:
        checks.refuse("tasks", "a group, a task, or a list of them that is not empty", tasks)
    found = [fresh(task) for one in listed for task in _of(one)]
    names = [task.name for task in found]
    if len(set(names)) < len(names):
        checks.refuse("tasks", "tasks of different names", names)
    return found


def _of(one):
    if isinstance(one, Task):
        return [one]
    if not isinstance(one, str) or one not in (*GROUPS, *TASKS):
        checks.refuse("tasks", f"among {', '.join((*GROUPS, *TASKS))}, or a Task", one)
    if one in TASKS:
        return [TASKS[one]]
    small = {"nano": Nano, "micro": Micro}
    return [task for task in TASKS.values() if one in ("all", f"level{task.level}") or (one in small and isinstance(task, small[one]))]
