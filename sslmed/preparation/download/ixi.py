"""Archives of MRI of healthy brains: IXI, https://brain-development.org/ixi-dataset, and its small version IXITiny.

torchio has their addresses and checksums. Its own downloads cannot be resumed.
"""

from pathlib import Path

from sslmed.preparation.download.archive import Archive

LICENCE = "CC BY-SA 3.0, name https://brain-development.org/ixi-dataset as the source"


def ixi(contrast: str) -> Archive:
    """Describe the scans of one contrast, `T1`, `T2`, `PD` or `MRA`: about 580 without labels."""

    def address() -> tuple[str, str]:
        from torchio.datasets import IXI  # takes seconds

        return IXI.base_url.format(modality=contrast), IXI.md5_dict[contrast]

    return Archive(f"IXI-{contrast}", ".tar", LICENCE, "none", address, _extract)


def ixi_tiny() -> Archive:
    """Describe 566 of IXI's T1-weighted images at a low resolution, with masks of the brain."""

    def address() -> tuple[str, str]:
        from torchio.datasets import IXITiny  # takes seconds

        return IXITiny.url, IXITiny.md5

    return Archive("IXITiny", ".zip", LICENCE, "map", address, _extract_tiny)


def _extract(archive: Path, folder: Path) -> Path:
    """Extract the archive, and list its images in a table."""
    from monai.apps.utils import extractall

    from sslmed.preparation.readers.table import write_table

    extractall(archive, folder / "images", has_base=False)
    write_table(folder, [("image",), *((f"images/{path.name}",) for path in _volumes(folder / "images"))])
    return folder


def _extract_tiny(archive: Path, folder: Path) -> Path:
    """Extract the archive, and list its images and masks in a table."""
    from monai.apps.utils import extractall

    from sslmed.preparation.readers.table import write_table

    extractall(archive, folder, has_base=False)
    root = folder / "ixi_tiny"
    masks = {_subject(path): f"label/{path.name}" for path in _volumes(root / "label")}
    rows = [(f"image/{path.name}", masks[_subject(path)]) for path in _volumes(root / "image")]
    write_table(root, [("image", "mask"), *rows])
    return root


def _volumes(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.nii.gz"))


def _subject(path: Path) -> str:
    """Return the subject's number, with which every name begins: `IXI002`."""
    return path.name.partition("-")[0]
