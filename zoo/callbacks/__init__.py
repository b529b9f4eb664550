"""Callbacks that log, draw and save."""

from zoo.callbacks.activation_statistics import ActivationStatistics as ActivationStatistics
from zoo.callbacks.callback_loop import CallbackLoop as CallbackLoop
from zoo.callbacks.grad_schedule import GradSchedule as GradSchedule
from zoo.callbacks.halving import Halving as Halving
from zoo.callbacks.linear_decay import LinearDecay as LinearDecay
from zoo.callbacks.linear_start import LinearStart as LinearStart
from zoo.callbacks.sample_grid import SampleGrid as SampleGrid
from zoo.callbacks.scheduled_sampling_decay import ScheduledSamplingDecay as ScheduledSamplingDecay
from zoo.callbacks.snapshots import Snapshots as Snapshots
