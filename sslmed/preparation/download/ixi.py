"""Downloads MRI of healthy brains: IXI, https://brain-development.org/ixi-dataset, and its small version IXITiny."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.preparation.download.archive import Archive
from sslmed.preparation.readers.dataset import Labels

LICENCE = "CC BY-SA 3.0, name https://brain-development.org/ixi-dataset as the source"
VOLUMES = "[!.]*.nii.gz"


@dataclass(frozen=True)
class IXI(Archive):
    """Describes the scans of one contrast, about 580 without labels: `IXI-T1`, `IXI-T2`, `IXI-PD` or `IXI-MRA`.

    torchio has their address and checksum. Its own downloads cannot be resumed.
    """

    name: str
    suffix: str = ".tar"
    licence: str = LICENCE
    labels: Labels = "none"

    @property
    def contrast(self) -> str:
        """The contrast, as torchio calls it."""
        return self.name.removeprefix("IXI-")

    @property
    def md5(self) -> str:
        """The archive's checksum."""
        from torchio import datasets  # takes seconds

        return datasets.IXI.md5_dict[self.contrast]

    @property
    def url(self) -> str:
        """The archive's address."""
        from torchio import datasets

        return datasets.IXI.base_url.format(modality=self.contrast)

    def extract(self, archive: Path, folder: Path) -> Path:
        """Extract the archive, and list its images in a table; see `Archive`."""
        from monai.apps.utils import extractall

        from sslmed.preparation.readers.table import write_table

        extractall(archive, folder / "images", has_base=False)
        write_table(folder, [("image",), *((f"images/{path.name}",) for path in _sorted(folder / "images"))])
        return folder


@dataclass(frozen=True)
class IXITiny(Archive):
    """Describes 566 of IXI's T1-weighted images at a low resolution, with masks of the brain."""

    name: str
    suffix: str = ".zip"
    licence: str = LICENCE
    labels: Labels = "map"

    @property
    def md5(self) -> str:
        """The archive's checksum."""
        from torchio import datasets

        return datasets.IXITiny.md5

    @property
    def url(self) -> str:
        """The archive's address."""
        from torchio import datasets

        return datasets.IXITiny.url

    def extract(self, archive: Path, folder: Path) -> Path:
        """Extract the archive, and list its images and masks in a table; see `Archive`."""
        from monai.apps.utils import extractall

        from sslmed.preparation.readers.table import write_table

        extractall(archive, folder, has_base=False)
        root = folder / "ixi_tiny"
        masks = {_subject(path): f"label/{path.name}" for path in _sorted(root / "label")}
        rows = [(f"image/{path.name}", masks[_subject(path)]) for path in _sorted(root / "image")]
        write_table(root, [("image", "mask"), *rows])
        return root


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.glob(VOLUMES))


def _subject(path: Path) -> str:
    """Return the subject's number, with which every name begins: `IXI002`."""
    return path.name.partition("-")[0]
