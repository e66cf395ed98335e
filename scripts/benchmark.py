"""Measures how fast sslmed is on this machine, against a straightforward reference: tables, and all numbers as JSON."""

import argparse
import json
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.measure import Findings
from benchmarks.report import as_json, show_goals, show_section
from rich.console import Console

GPU_SECTIONS = ("gpu", "paper")
SECTIONS = ("startup", "preparing", "reading", "tasks", "updates", "steps", "experiment", *GPU_SECTIONS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--size", choices=["quick", "full"], default="quick", help="quick: 10 minutes on 2 cores")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to run", metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all numbers go")
    parser.add_argument(
        "--scratch", type=Path, metavar="DIR", help="where temporary data goes; on a disk, not in memory"
    )
    options = parser.parse_args()

    if options.scratch is not None:
        options.scratch.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 140)
    machine = describe()
    console.print({key: value for key, value in machine.items() if key != "cpu_flags"})
    sections, seconds, failed = {}, {}, {}
    for name in options.only:
        if name in GPU_SECTIONS and not machine["gpus"]:
            console.print(f"{name}: left out, there is no GPU here")
            continue
        start = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(dir=options.scratch, prefix="sslmed-benchmark-") as folder:
                sections[name] = _in_a_fresh_process(name, options.size, Path(folder))
            show_section(console, name, sections[name])
        except Exception:  # the other sections continue
            failed[name] = traceback.format_exc()
            console.print(f"{name} failed:\n{failed[name]}", markup=False, highlight=False)
        seconds[name] = round(time.perf_counter() - start, 1)
    show_goals(console, sections)
    console.print(f"seconds per section: {seconds}", highlight=False)
    if options.json is not None:
        report = {"size": options.size, "machine": machine, **as_json(sections), "seconds": seconds, "failed": failed}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if failed else 0


def _in_a_fresh_process(section: str, size: str, folder: Path) -> Findings:
    """Measure a section in a new process, with nothing imported or held in memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(_measure, section, size, folder).result()


def _measure(section: str, size: str, folder: Path) -> Findings:
    module = import_module(f"benchmarks.{section}")
    findings: Findings = module.measure(module.SIZES[size], folder)
    return findings


if __name__ == "__main__":
    sys.exit(main())
