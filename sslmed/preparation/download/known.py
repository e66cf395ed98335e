"""The datasets that can be had by a name."""

from sslmed.preparation.download.archive import Archive
from sslmed.preparation.download.decathlon import task
from sslmed.preparation.download.ixi import ixi, ixi_tiny
from sslmed.preparation.download.kaggle import Competition
from sslmed.preparation.download.medmnist import medmnist

# The classes of MedMNIST, in the order of their numbers.
ORGANS = (
    *("liver", "kidney-right", "kidney-left", "femur-right", "femur-left", "bladder"),
    *("heart", "lung-right", "lung-left", "spleen", "pancreas"),
)
NODULES = ("benign", "malignant")
ADRENALS = ("normal", "hyperplasia")
RIBS = ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture")
VESSELS = ("vessel", "aneurysm")
SYNAPSES = ("inhibitory synapse", "excitatory synapse")

KNOWN: dict[str, Archive | Competition] = {
    "pancreas": task("Task07_Pancreas"),
    "hippocampus": task("Task04_Hippocampus"),
    "brats": task("Task01_BrainTumour"),
    "aptos": Competition("aptos2019-blindness-detection"),
    "ixi": ixi("T1"),
    "ixi-t2": ixi("T2"),
    "ixi-pd": ixi("PD"),
    "ixi-mra": ixi("MRA"),
    "ixitiny": ixi_tiny(),
    "medmnist-organ": medmnist("OrganMNIST3D", "CC BY 4.0", "21f0a239e7f502e6eca33c3fc453c0b6", ORGANS),
    "medmnist-nodule": medmnist("NoduleMNIST3D", "CC BY 3.0", "902d495e3d91ad1a7bcac1a6b58a8fa2", NODULES),
    "medmnist-adrenal": medmnist("AdrenalMNIST3D", "CC BY 4.0", "bbd3c5a5576322bc4cdfea780653b1ce", ADRENALS),
    "medmnist-fracture": medmnist("FractureMNIST3D", "CC BY-NC 4.0", "6aa7b0143a6b42da40027a9dda61302f", RIBS),
    "medmnist-vessel": medmnist("VesselMNIST3D", "CC0 1.0", "2ba5b80617d705141f3f85627108fce8", VESSELS),
    "medmnist-synapse": medmnist("SynapseMNIST3D", "CC BY 4.0", "1235b78a3cd6280881dd7850a78eadb6", SYNAPSES),
}


def licence_of(data: str) -> str | None:
    """Return the licences of those of the datasets `a+b` that are known by these names, or whose folders are called so.

    `None` if there is none.
    """
    names = data.split("+")
    of_known = (known.licence for name, known in KNOWN.items() if not {name, known.name}.isdisjoint(names))
    return "; ".join(dict.fromkeys(of_known)) or None
