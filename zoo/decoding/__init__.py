"""From what a network gives to what a user wants: boxes of detections, sequences of tags or symbols, one class of several classifiers."""

from zoo.decoding.boxes import box_iou as box_iou
from zoo.decoding.boxes import clusters as clusters
from zoo.decoding.boxes import nested as nested
from zoo.decoding.boxes import nms_avg as nms_avg
from zoo.decoding.boxes import nms_max as nms_max
from zoo.decoding.reranking import rank_weights as rank_weights
from zoo.decoding.sequences import beam_search as beam_search
from zoo.decoding.sequences import fused as fused
from zoo.decoding.sequences import sample_sequences as sample_sequences
from zoo.decoding.specialists import collapse as collapse
from zoo.decoding.specialists import combine_specialists as combine_specialists
from zoo.decoding.specialists import confusion_clusters as confusion_clusters
from zoo.decoding.viterbi import FORBIDDEN as FORBIDDEN
from zoo.decoding.viterbi import scheme_transitions as scheme_transitions
from zoo.decoding.viterbi import seen_transitions as seen_transitions
from zoo.decoding.viterbi import viterbi as viterbi
