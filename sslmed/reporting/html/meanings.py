"""What arms and metrics mean, for a reader who knows medicine and not this field."""

TASKS = {
    "baseline": "trained from scratch, without pretraining: what the others are compared with",
    "rotation": "tells by which angle an image was turned",
    "jigsaw": "tells how the pieces of an image were shuffled",
    "rpl": "tells where in the image one piece lies relative to another (relative patch location)",
    "exemplar": "recognises an image after it was distorted, among others",
    "cpc": "foresees one piece of an image from its neighbours (contrastive predictive coding)",
}
OWN = "a pretext task of its own"
NULL = "the baseline again, with other initial weights: its difference to the baseline is chance, drawn as a grey band"
SLICES = "; a 2-D network on axial slices, compared with baseline-2d"
EXTERNAL = "; pretrained on images from elsewhere"


def meaning(metric: str) -> str:
    """Say what a score measures."""
    if metric.startswith("dice"):
        return "the overlap of the predicted region with the expert's: 0 is none, 1 perfect"
    return {
        "qwk": "agreement with the expert's grades, larger mistakes counting more: 0 is chance, 1 perfect",
        "accuracy": "the fraction of images whose class is told right",
        "auroc": "how well the probabilities set a class apart from the others: 0.5 is chance, 1 perfect",
        "r2": "the part of the values' variance that is explained: 0 is answering their mean each time, 1 perfect",
        "mae": "how far predictions are off, in the unit of the values: 0 is perfect",
    }[metric]
