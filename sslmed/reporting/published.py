"""Published curves, plotted with ours where dataset and metric are the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import pandas as pd


@dataclass(frozen=True)
class Counterpart:
    """Maps a figure of ours to rows of `published_results.csv`.

    Attributes:
        figure: The published figure.
        metric: Our name of its metric.
        column: Column that distinguishes arms of the same method.
        endings: Value of that column -> suffix of our arm's name.
    """

    figure: str
    metric: str
    column: str
    endings: Mapping[str, str]


COUNTERPARTS = {
    ("fig3", "pancreas"): Counterpart("Fig3-left", "dice_paper", "dims", {"3D": "", "2D": "-2d"}),
    ("fig4", "aptos"): Counterpart("Fig4", "qwk", "pretraining", {"none": "", "kaggle": "", "ukb": "-external"}),
}
"""Our figure and dataset -> published counterpart."""

OUR_LABELS = (
    "Beside published curves: with five folds, our 100 % of the labels is 64 % of the labelled cases; "
    "the others are for test and validation."
)
"""A sentence for figures with published curves."""


def published_curves(figure: str, dataset: str) -> pd.DataFrame:
    """Read the published counterpart of a figure.

    The numbers were digitised from Taleb et al. 2020, Figures 3 left and 4, https://arxiv.org/abs/2006.03829, to about
    0.001; the publication gives no intervals. The file also holds the whole-tumour Dice of Figure 2 as the authors'
    plotting code has it. It is not plotted, because their code does not show how it was scored: the whole-tumour Dice
    there averages in the background and could hardly be as low as the published 0.42.

    Returns:
        Columns `arm`, `metric`, `label_fraction`, `value`, sorted; no rows where nothing comparable was published.
    """
    columns = ["arm", "metric", "label_fraction", "value"]
    counterpart = COUNTERPARTS.get((figure, dataset))
    if counterpart is None:
        return pd.DataFrame(columns=columns)
    with resources.files("sslmed.reporting").joinpath("published_results.csv").open(encoding="utf-8") as file:
        published = pd.read_csv(file, keep_default_na=False)
    curves = published[(published["source"] == "taleb2020") & (published["figure"] == counterpart.figure)]
    arms = curves["method"] + curves[counterpart.column].map(counterpart.endings)
    table = curves.assign(arm=arms, metric=counterpart.metric)[columns]
    return table.sort_values(["arm", "label_fraction"], ignore_index=True)
