"""Makes the pictures of the README and the docs from finished experiments: figures, and the first page of a report.

python scripts/docs_pictures.py results/fig2/phantom-quick results/fig3/phantom-quick results/fig4/phantom-quick

The report's page is that of fig3. It needs Chromium, as Debian's `chromium`. Look at the pictures
before committing them.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE = 1500, 1200
"""Width and height of the report's picture in pixels."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="folders of finished experiments")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    parser.add_argument("--report", default="fig3", help="figure whose report is shown")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in options.results:
        figure = folder.parent.name
        shutil.copyfile(folder / f"{figure}.png", options.out / f"{figure}-{folder.name}.png")
        if figure == options.report:
            take_picture(folder / "report.html", options.out / "report.png")
    return 0


def take_picture(page: Path, picture: Path) -> None:
    """Write the top of an HTML page to a PNG file, in true colour.

    Args:
        page: File to show.
        picture: File to write.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"{page}: no picture without a browser; install one of {', '.join(BROWSERS)}")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={PAGE[0]},{PAGE[1]}"]
    command = [browser, *options, f"--screenshot={picture.absolute()}", page.absolute().as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(picture) as taken:
        if taken.mode not in ("RGB", "RGBA") or taken.size != PAGE:  # a palette has changed the colours once
            sys.exit(f"{picture}: is {taken.mode} of {taken.size}, expected true colour of {PAGE}")


if __name__ == "__main__":
    sys.exit(main())
