"""`sslmed predict --model … --images … --out …`: apply trained networks to new images."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EPILOG = (
    "The same command resumes one that was interrupted. Exit status 1 if some images could not be predicted, 2 for "
    "wrong input. `sslmed predict -c RUN/config.yaml` predicts the test and unlabelled cases of the run's own store."
)
POSITIONAL = ()


@dataclass(frozen=True)
class Options:
    """What to predict.

    Attributes:
        model: Directories of finished runs, or exports; or of an experiment's runs, for all folds and seeds of the arm
            that is best in validation. The mean over all is taken.
        images: Images of any format, folders with subfolders, or tables with a column image.
        out: Folder for the masks and predictions.csv; it mirrors the folders of the images.
        flips: Take the mean over flipped images, too; takes 8 times as long for volumes, 4 times for photographs.
        probabilities: Write the probabilities of the classes, too.
        device: cpu, cuda, cuda:1 or another of torch's; auto is a GPU if there is one.
    """

    model: Sequence[Path]
    images: Sequence[Path]
    out: Path
    flips: bool = False
    probabilities: bool = False
    device: str = "auto"


OPTIONS = (Options,)


def run(options: Options) -> int:
    """Predict the images, and name those that could not be."""
    from sslmed.core.logs import silence_libraries
    from sslmed.core.startup import importing

    with importing():
        from sslmed.prediction.predict import predict

    silence_libraries()
    problems = predict(
        options.model,
        options.images,
        options.out,
        options.device,
        flips=options.flips,
        probabilities=options.probabilities,
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{options.out}: the predictions are here; predictions.csv lists them")
    return 1 if problems else 0
