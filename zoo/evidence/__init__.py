"""Evidence: the paper's claim, re-run. Recipes collect `Claim`s and `publish` a preset with its card."""

from zoo.evidence.card import card as card
from zoo.evidence.chats import CHATS as CHATS
from zoo.evidence.chats import chat_exchanges as chat_exchanges
from zoo.evidence.chats import first_share as first_share
from zoo.evidence.chats import right_before as right_before
from zoo.evidence.chats import with_distractors as with_distractors
from zoo.evidence.claim import VERDICTS as VERDICTS
from zoo.evidence.claim import Choice as Choice
from zoo.evidence.claim import Claim as Claim
from zoo.evidence.claim import ahead as ahead
from zoo.evidence.claim import count as count
from zoo.evidence.claim import summary as summary
from zoo.evidence.jobs import finished as finished
from zoo.evidence.judge import Judge as Judge
from zoo.evidence.judge import mnist_judge as mnist_judge
from zoo.evidence.recipe import arguments as arguments
from zoo.evidence.recipe import publish as publish
from zoo.evidence.recipe import renew as renew
from zoo.evidence.search import UNTIL_INSIDE as UNTIL_INSIDE
from zoo.evidence.search import best_rate as best_rate
