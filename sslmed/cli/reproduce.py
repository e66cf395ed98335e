"""`sslmed reproduce`: pretrain, fine-tune, score and draw a figure's data-efficiency curves."""

from sslmed.experiments.configs import config_root, known_names
from sslmed.experiments.options import Options
from sslmed.preparation.download.known import KNOWN

EPILOG = (
    f"Figures: {', '.join(known_names('experiments'))}. Known datasets: {', '.join(KNOWN)}. "
    f"Encoders: {', '.join(known_names('encoder'))}. The same command resumes one that was interrupted. "
    "Exit status 1 if runs failed, 2 for wrong input. "
    f"YAML files of figures, presets and cluster profiles: {config_root()}"
)
POSITIONAL = ("figure",)
OPTIONS = (Options,)


def run(options: Options) -> int:
    """Do the figure's runs, and publish them."""
    from sslmed.experiments.reproduce import reproduce

    if options.check:
        from sslmed.reporting.measured import check, refuse_incomparable

        refuse_incomparable(options)
    outcome = reproduce(options)
    if outcome is None:
        return 0
    if options.final:
        from sslmed.reporting.final_model import conclude

        return conclude(outcome)
    from sslmed.reporting.publish import publish  # pandas and matplotlib take a while to import

    status = publish(outcome)
    return max(status, check(outcome.out, options.figure)) if options.check else status
