"""By what the predictions in a run's directory were made, so that it holds those of one checkpoint and one dataset."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from sslmed.core.errors import UserError
from sslmed.core.files import read_json, write_text

NAMES = ("predictions", "predictions.csv")
"""What `sslmed predict` writes to the directory of a run: masks, or one table."""

RECORD = "predictions.json"


def claim_predictions(
    run: Path, weights: Mapping[str, Tensor], settings: Sequence[str], digests: dict[str, str], *, own: bool
) -> None:
    """Record by what the predictions in a run's directory are made, before they are.

    Args:
        run: The directory.
        weights: All tensors of the network.
        settings: Those that differ from the run's.
        digests: Case id -> digest of its image, of the cases to predict.
        own: Whether weights, settings and data are the run's own, as of predictions without a record.

    Raises:
        UserError: If there are predictions by another checkpoint, with other settings or of another dataset.
    """
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    made_by = {"weights": digest.hexdigest()[:16], "settings": [*settings]}
    record, held = run / RECORD, [run / name for name in NAMES if (run / name).exists()]
    if held and record.is_file():
        known = read_json(record)
        own = known["by"] == made_by and known["images"].items() <= digests.items()
    if held and not own:
        raise UserError(
            f"{held[0]}: holds predictions by another checkpoint, with other settings or of other data; move it "
            "elsewhere, or remove it"
        )
    content = {"by": made_by, "images": digests}
    write_text(record, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
