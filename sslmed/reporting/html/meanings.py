"""Explanations of arms for physicians outside machine learning."""

TASKS = {
    "baseline": "trained from scratch, without pretraining: the others are compared with it",
    "rotation": "finds by which angle an image was rotated",
    "jigsaw": "finds how the pieces of an image were shuffled",
    "rpl": "finds where in the image one piece lies relative to another (relative patch location)",
    "exemplar": "recognises a distorted copy of an image among other images",
    "cpc": "predicts one piece of an image from its neighbours (contrastive predictive coding)",
    "mae": "restores hidden blocks of an image from the visible ones (masked autoencoder)",
    "mae-decoder": "the same; the decoder, the half of the network that restores the image, is kept too",
    "simclr": "matches two altered parts of the same image among parts of other images",
    "vicreg": "describes two altered parts of the same image alike, and different images differently",
    "dino": "describes two altered parts of the same image alike, by categories that it finds by itself",
    "genesis": "restores an image that was distorted and painted over (Models Genesis)",
    "voco": "finds how much a part of an image overlaps each part of a grid (volume contrast)",
    "multilevel": "finds how the pieces of an image were shuffled, from finer features as well",
    "supervised": "learns the labels of another dataset: the rival of pretraining without labels",
    "supervised-decoder": "the same; the decoder, the half of the network that draws the label map, is kept too",
    "joint": "does several of these tasks at once",
}
FROZEN_BASELINE = "has a frozen encoder with random weights, without pretraining: the others are compared with it"
OWN = "a pretext task, or weights, of the user's own"
NULL = "the baseline again, with other initial weights: its difference to the baseline is chance, drawn as a grey band"
SLICES = "; a 2-D network on axial slices, compared with baseline-2d"
EXTERNAL = "; pretrained on images from elsewhere"
