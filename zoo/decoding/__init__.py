"""From what a network gives to what a user wants: boxes of detections."""

from zoo.decoding.boxes import box_iou as box_iou
from zoo.decoding.boxes import clusters as clusters
from zoo.decoding.boxes import nested as nested
from zoo.decoding.boxes import nms_avg as nms_avg
from zoo.decoding.boxes import nms_max as nms_max
