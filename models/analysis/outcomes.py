"""What became of a variant's runs: how many train, how well, and whether one mean can say it."""

from models.analysis.comparison_parts import Outcomes, Success
from models.analysis.modes import two_groups
from models.analysis.seed_means import over_seeds
from models.analysis.statistics import clopper_pearson
from models.analysis.trials import Runs


def outcomes_of(runs: Runs) -> Outcomes:
    judged = [run for run in runs.values() if run.trained is not None]
    successes = [run for run in judged if run.success]
    bounds = clopper_pearson(len(successes), len(judged))
    low, high = bounds if bounds is not None else (None, None)
    return Outcomes(
        success=Success(count=len(successes), of=len(judged), low=low, high=high),
        metric=over_seeds([run.facts.test_metric for run in successes]),
        loss=over_seeds([run.final_loss for run in successes if run.final_loss is not None]),
        modes=two_groups([run.facts.test_metric for run in judged]),
    )
