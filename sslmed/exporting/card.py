"""Writes the model card of an export, as the Hugging Face Hub reads it: https://huggingface.co/docs/hub/model-cards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslmed.core.files import write_text
from sslmed.evaluation.metrics import find
from sslmed.evaluation.statistics import ENOUGH_RUNS
from sslmed.exporting.description import Description
from sslmed.preparation.channels import UNNAMED
from sslmed.preparation.download.known import licence_of
from sslmed.preparation.settings import is_ct

TEMPLATE = Path(__file__).with_name("model_card.jinja")
NONE = "\N{EN DASH}"
DIFFERENCE: dict[str, float | None] = dict.fromkeys(("diff", "diff_low", "diff_high"))
"""What `expected.json` of earlier versions does not have."""

PIPELINES = {"map": "image-segmentation", "class": "image-classification"}


def write_card(
    path: Path, description: Description, *, name: str, form: str, licence: str, size: Sequence[int] = ()
) -> None:
    """Write a model card.

    Args:
        path: The Markdown file.
        description: What is exported.
        name: Name of the model.
        form: Format of the export.
        licence: Licence of the weights, as the Hub names it; `unknown` if it is not stated.
        size: Sides in voxels of the input, if the format fixes them.
    """
    from huggingface_hub import ModelCard

    text = _facts(description) | {
        "name": name,
        "form": form,
        "licence": licence,
        "size": size,
        "output": _output(description, size),
        "described": description,
    }
    data = _card_data(description, name, licence)
    card = ModelCard.from_template(data, template_str=TEMPLATE.read_text(encoding="utf-8"), **text)
    write_text(path, f"{card}\n")


def _output(description: Description, size: Sequence[int]) -> dict[str, str]:
    """Name what a graph gives, and say what it is."""
    if not description.is_task:
        return {"name": "maps", "meaning": "A list of feature maps (B, C_i, *spatial_i), finest first."}
    if description.recipe.labels == "value":
        return {"name": "(value,)", "meaning": "(B,), in the unit of the labels."}
    number = len(description.recipe.label_names)
    if description.is_ordinal:
        return {"name": "(logits,)", "meaning": f"(B, {number - 1}): sigmoids are P(grade > 0), P(grade > 1), …"}
    sides = size if description.recipe.labels == "map" else ()
    shape = ", ".join(map(str, ("B", number, *sides)))
    return {"name": "(logits,)", "meaning": f"({shape}): their softmax over axis 1 gives the probabilities of classes."}


def _card_data(description: Description, name: str, licence: str) -> Any:  # noqa: ANN401 - untyped without the extra
    from huggingface_hub import EvalResult, ModelCardData

    pipeline = PIPELINES.get(description.recipe.labels) if description.is_task else "image-feature-extraction"
    dataset = description.recipe.dataset
    results = [
        EvalResult(
            task_type=pipeline or "other",
            dataset_type=dataset.lower().replace(" ", "-"),
            dataset_name=dataset,
            dataset_split="test",
            metric_type=score["metric"],
            metric_name=score["title"],
            metric_value=round(score["value"], 4),
        )
        for score in _scores(description, "scores")
        if description.is_task
    ]
    tags = [
        "medical-imaging",
        "self-supervised-learning",
        f"{description.spatial_dims}d",
        *_named_channels(description),
    ]
    return ModelCardData(
        license=licence,
        library_name="sslmed",
        tags=tags,
        pipeline_tag=pipeline,
        model_name=name if results else None,
        eval_results=results or None,
    )


def _scores(description: Description, name: str) -> list[dict[str, Any]]:
    """Return what is known of a run under a name, without scores of grades if its classes have no order."""
    has_order = description.network["init_args"].get("score") != "auroc"  # as `Classification` documents it
    return [score for score in description.run.get(name, ()) if has_order or not find(score["metric"]).of_grades]


def _named_channels(description: Description) -> list[str]:
    return [name for name in description.recipe.modalities if name not in UNNAMED]


def _facts(description: Description) -> dict[str, Any]:
    """Return what the template shows."""
    recipe, run = description.recipe, description.run
    parts = {"encoder": "the encoder", "network": "the whole network", "training": "the whole training state"}
    return {
        "what": parts[description.part],
        "image": "image.nii.gz" if recipe.spatial_dims == 3 else "image.png",
        "class_name": description.network["class_path"].rpartition(".")[2],
        "encoder_name": (description.network["init_args"].get("encoder") or description.network)["class_path"],
        "preparation": _preparation(description),
        "channels": ", ".join(_named_channels(description)),
        "classes": [f"{value}: {each}" for value, each in recipe.label_names.items()],
        "data_licence": licence_of(run.get("dataset", "")) or licence_of(recipe.dataset),
        "scores": _scores(description, "scores"),
        "expected": [DIFFERENCE | score for score in _scores(description, "expected")],
        "title": lambda metric: find(metric, recipe.label_names).axis,
        "interval": _interval,
        "difference": lambda value: NONE if value is None else f"{value:+.3f}",
        "enough_runs": ENOUGH_RUNS,
        "run": run,
        "length": f"{run['updates']} updates" + (f" (set as {run['epochs']} epochs)" if "epochs" in run else ""),
    }


def _interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """`0.790 to 0.834`; a dash if one end is infinite: so few cases do not tell."""
    sign = "+" * signed
    return NONE if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"


def _preparation(description: Description) -> list[str]:
    """List the steps from a file to the network, for readers."""
    recipe, settings = description.recipe, description.recipe.settings
    if recipe.spatial_dims == 2:
        crop = "cropped to the retina" if settings.photo == "fundus" else "put whole into a black square"
        steps = [f"The photograph is {crop} and resized to {settings.size} x {settings.size} pixels, RGB in [0, 1]."]
    else:
        steps = ["The volume is turned so that its axes run to the right, anterior and superior (RAS)."]
        steps += [_intensities(modality, description) for modality in recipe.modalities]
        if settings.geometry == "cube":
            steps.append(
                f"It is cropped to the bounding box of what is above {settings.foreground:g}, and resized to "
                f"{settings.size}³ voxels by linear interpolation with antialiasing."
            )
        else:
            steps.append(f"It is resampled to voxels of {' x '.join(f'{each:g}' for each in settings.spacing)} mm.")
    if description.spatial_dims < recipe.spatial_dims:
        steps.append("The network sees axial slices.")
    if description.window is not None:
        steps.append(f"The network sees windows of {' x '.join(map(str, description.window))} voxels.")
    return steps


def _intensities(modality: str, description: Description) -> str:
    settings = description.recipe.settings
    if is_ct(modality):
        low, high = settings.hu_window
        return f"{modality}: {low:g} to {high:g} HU become 0 to 1, and what is beyond is clipped."
    low, high = settings.percentiles
    its = "Its" if modality in UNNAMED else f"{modality}: its"
    return f"{its} percentiles {low:g} and {high:g} become 0 and 1, and what is beyond is clipped."
