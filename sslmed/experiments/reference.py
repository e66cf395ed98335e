"""Published curves, to be drawn beside ours where dataset and metric are the same."""

from importlib import resources

import pandas as pd

PANELS = {("fig3", "pancreas"): ("taleb2020", "Fig3-left")}
"""Our figure and dataset -> source and figure in `published_results.csv`, whose metric is our `dice_paper`."""


def published_curves(figure: str, dataset: str) -> pd.DataFrame:
    """Read the published counterpart of a figure.

    The numbers were digitised from Taleb et al. 2020, Figure 3 left, https://arxiv.org/abs/2006.03829, to about 0.001;
    the publication gives no intervals.

    Returns:
        Columns `arm`, `label_fraction`, `value`, sorted; no rows where nothing comparable was published.
    """
    with resources.files("sslmed.experiments").joinpath("published_results.csv").open(encoding="utf-8") as file:
        published = pd.read_csv(file, keep_default_na=False)
    source, panel = PANELS.get((figure, dataset), ("", ""))
    curves = published[(published["source"] == source) & (published["figure"] == panel)]
    arms = curves["method"] + curves["dims"].map({"3D": "", "2D": "-2d"})
    table = pd.DataFrame({"arm": arms, "label_fraction": curves["label_fraction"], "value": curves["value"]})
    return table.sort_values(["arm", "label_fraction"], ignore_index=True)
