# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # A first curve
#
# Does pretraining without labels help where labels are few? This notebook generates CT-like scans, pretrains a
# network on them without labels, fine-tunes it and a network from scratch on 2, 8 and all labels, draws both curves
# with their intervals, and segments a new scan. It takes a few minutes on 2 cores and needs no GPU.
#
# On Colab, first remove the comment sign in front of `!pip`.

# %%
# # !pip install git+…

# %%
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd

import sslmed

PRESET = "quick"  # "sound", on a GPU, is for an answer
CASES = "--cases 60 --unlabelled 40"
LABELS = "2 8 all"

# %% [markdown]
# ## Data
#
# 60 scans with labels and 40 without. They are **synthetic, not patients**. For scans of your own, skip this
# cell and give their folder as `--data`.

# %%
# !sslmed phantom pancreas scans {CASES}

# %% [markdown]
# ## Pretrain, fine-tune, score
#
# `baseline` starts from random weights. `rotation` first learns to predict by which angle a scan was rotated. The
# rest is the same for both. If this cell is interrupted, run it again: it resumes.

# %%
# !sslmed reproduce segmentation --data scans --preset {PRESET} --arms baseline rotation --labels {LABELS}

# %% [markdown]
# ## The curve
#
# Each point is the mean Dice of the test cases, with its 95 % interval. Two folds and one seed are few: the intervals
# are over test cases only and do not include the noise of training, so that a gap between the curves may still be
# chance. The report says so, too.

# %%
summary = pd.read_csv(f"results/segmentation/scans-{PRESET}/summary.csv")
for arm, rows in summary[summary["metric"] == "dice_foreground"].groupby("arm"):
    errors = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
    plt.errorbar(rows["n_labels"], rows["mean"], errors, marker="o", capsize=4, label=arm)
plt.xscale("log")
plt.xlabel("labelled training cases")
plt.ylabel("foreground Dice")
plt.legend()
plt.show()

# %% [markdown]
# ## Segment a new scan
#
# A patient whom no network has seen. `sslmed.load` prepares the scan as in training and puts the mask back on its
# grid. White: truth, red: prediction.

# %%
# !sslmed phantom pancreas new --cases 1 --unlabelled 0 --seed 1

# %%
model = sslmed.load(f"runs/segmentation/scans-{PRESET}/rotation/fold0/seed0/100")
scan, truth = (nib.load(f"new/{kind}/phantom_0000.nii.gz").get_fdata() for kind in ("imagesTr", "labelsTr"))
mask = np.asarray(model.predict("new/imagesTr/phantom_0000.nii.gz"))
level = (truth > 0).sum((0, 1)).argmax()  # the slice with most of the pancreas
plt.imshow(scan[..., level].T, cmap="gray", origin="lower")
for labels, colour in ((truth, "white"), (mask, "red")):
    plt.contour(labels[..., level].T > 0, [0.5], colors=colour)
plt.axis("off")
plt.show()

# %% [markdown]
# The whole report, in one file, is `results/segmentation/scans-quick/report.html` (with another `PRESET`, its name
# is in the place of `quick`).
