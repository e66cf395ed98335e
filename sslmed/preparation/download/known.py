"""The datasets that can be had by a name."""

from sslmed.preparation.download.decathlon import Task
from sslmed.preparation.download.kaggle import Competition

KNOWN: dict[str, Task | Competition] = {
    "pancreas": Task("Task07_Pancreas"),
    "hippocampus": Task("Task04_Hippocampus"),
    "brats": Task("Task01_BrainTumour"),
    "aptos": Competition("aptos2019-blindness-detection"),
}
