"""Maps the labels of a brain tumour dataset to BraTS's regions: https://www.med.upenn.edu/cbica/brats2020/data.html."""

import re
from collections.abc import Mapping

from sslmed.core.errors import UserError

REGIONS = {"wt": {"core", "edema", "enhancing"}, "tc": {"core", "enhancing"}, "et": {"enhancing"}}
ROLES = {
    "core": {"nonenhancing", "necrosis", "necrotic", "ncr", "net", "netc"},
    "edema": {"edema", "oedema", "edematous", "oedematous", "ed", "snfh"},
    "enhancing": {"enhancing", "et"},
}
NON_ENHANCING = re.compile(r"\b(non|un|not|no|without) ?((contrast|gd|gadolinium) ?)?enhanc\w*")


def brain_tumour_regions(label_names: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    """Return the classes of the whole tumour `wt`, the tumour core `tc` and the enhancing tumour `et`.

    Labels are identified by their names, because their numbers differ between datasets: MSD's Task01 has edema,
    non-enhancing and enhancing tumour as 1, 2, 3; BraTS has necrosis, edema and enhancing tumour as 1, 2, 3, or
    1, 2, 4. Case, hyphens and British or American spelling do not matter. Several labels may be of one kind, e.g.
    necrosis and non-enhancing tumour.

    Source of the regions: Menze et al. 2015, https://doi.org/10.1109/TMI.2014.2377694.

    Args:
        label_names: Name of each label value, the background at 0.

    Returns:
        For each region, positions in the sorted label values, which are class indices.

    Raises:
        UserError: If a name is not understood or ambiguous, or there is no core, no edema, or no enhancing tumour.
    """
    values = sorted(label_names)
    roles = {values.index(value): _role(label_names[value]) for value in values if value != 0}
    unknown = [f"{values[index]} {label_names[values[index]]!r}" for index, role in roles.items() if role is None]
    missing = [role for role in ROLES if role not in roles.values()]
    if unknown or missing:
        problems = [f"not understood: {', '.join(unknown)}"] if unknown else []
        problems += [f"missing: {', '.join(missing)}"] if missing else []
        words = "; ".join(f"{role}: {', '.join(sorted(ROLES[role]))}" for role in ROLES)
        raise UserError(
            f"labels of a brain tumour are told by their names: {'; '.join(problems)}; "
            f'change "labels" in dataset.json so that each name has words of one kind only ({words})'
        )
    return {region: tuple(index for index, role in roles.items() if role in parts) for region, parts in REGIONS.items()}


def _role(name: str) -> str | None:
    """Return the kind of a label; `None` if its name has no known word, or words of two kinds."""
    words = re.sub(r"[\W_]+", " ", name.lower())
    words = NON_ENHANCING.sub("nonenhancing", words)
    found = [role for role, known in ROLES.items() if known & set(words.split())]
    return found[0] if len(found) == 1 else None
