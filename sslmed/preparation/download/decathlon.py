"""Archives of the Medical Segmentation Decathlon: http://medicaldecathlon.com.

Source: Antonelli et al. 2022, https://doi.org/10.1038/s41467-022-30695-9.
"""

from pathlib import Path

from sslmed.preparation.download.archive import Archive


def task(name: str) -> Archive:
    """Describe a task, e.g. `"Task07_Pancreas"`; MONAI has its address and checksum."""

    def address() -> tuple[str, str]:
        from monai.apps.datasets import DecathlonDataset  # takes 7 s

        return str(DecathlonDataset.resource[name]), str(DecathlonDataset.md5[name])

    def extract(archive: Path, folder: Path) -> Path:
        from monai.apps.utils import extractall

        extractall(archive, folder, has_base=False)
        return folder / name

    return Archive(name, ".tar", "CC BY-SA 4.0, http://medicaldecathlon.com", "map", address, extract)
