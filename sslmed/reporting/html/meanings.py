"""Explanations of arms for physicians outside machine learning."""

TASKS = {
    "baseline": "trained from scratch, without pretraining: what the others are compared with",
    "rotation": "tells by which angle an image was turned",
    "jigsaw": "tells how the pieces of an image were shuffled",
    "rpl": "tells where in the image one piece lies relative to another (relative patch location)",
    "exemplar": "recognises an image after it was distorted, among others",
    "cpc": "foresees one piece of an image from its neighbours (contrastive predictive coding)",
    "mae": "restores hidden blocks of an image from the visible ones (masked autoencoder)",
    "mae-decoder": "the same, and the network's restoring half is kept for the segmentation as well",
    "simclr": "recognises two altered parts of the same image among parts of others",
    "vicreg": "describes two altered parts of the same image alike, and different images differently",
    "genesis": "restores an image that was distorted and painted over (Models Genesis)",
    "voco": "tells how much a part of an image overlaps each part of a grid (volume contrast)",
    "multilevel": "tells how the pieces of an image were shuffled, from finer features as well",
    "supervised": "learns another dataset with its labels: the rival of pretraining without labels",
    "supervised-decoder": "the same, and the other half of the network is kept for the segmentation as well",
    "joint": "does several of these tasks at once",
}
OWN = "a pretext task, or weights, of the user's own"
NULL = "the baseline again, with other initial weights: its difference to the baseline is chance, drawn as a grey band"
SLICES = "; a 2-D network on axial slices, compared with baseline-2d"
EXTERNAL = "; pretrained on images from elsewhere"
