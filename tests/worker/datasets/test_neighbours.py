"""The vote of the nearest cases, beside scikit-learn's and beside the best rule of two overlapping bells."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from worker.datasets.neighbours import MOST_FEATURES, NEIGHBOURS, neighbour_accuracy
from worker.datasets.split import Part, TrialData

NONE = Part(torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64))


def bells(cases: int, features: int, apart: float, seed: int) -> Part:
    """Two classes whose first feature has means ``apart`` standard deviations from each other; the rest is noise."""
    random = np.random.default_rng(seed)
    y = np.arange(cases) % 2
    x = random.standard_normal((cases, features))
    x[:, 0] += apart * y
    return Part(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y))


@pytest.mark.parametrize("features", [1, 3, 20])
def test_it_is_the_better_vote_of_scikit_learn(features: int) -> None:
    train, test = bells(500, features, 2.0, 0), bells(200, features, 2.0, 1)
    sizes = torch.logspace(-3, 3, features)
    train, test = Part(train.x * sizes, train.y), Part(test.x * sizes, test.y)
    scaler = StandardScaler().fit(train.x.double())
    peers = [KNeighborsClassifier(count).fit(scaler.transform(train.x.double()), train.y) for count in (1, NEIGHBOURS)]
    expected = max(peer.score(scaler.transform(test.x.double()), test.y) for peer in peers)
    assert neighbour_accuracy(TrialData(train, NONE, test, classes=2)) == pytest.approx(expected, abs=1e-12)


def test_of_few_cases_in_a_fine_pattern_the_nearest_alone_says_what_the_data_allow() -> None:
    """Labels that alternate from cell to cell, seven cases a cell: most of 15 neighbours lie in others."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 8, 84)
    y = np.floor(x).astype(np.int64) % 2
    whole = Part(torch.from_numpy(x[:, None].astype(np.float32)), torch.from_numpy(y))
    train, test = whole.take(torch.arange(56)), whole.take(torch.arange(56, 84))
    peer = KNeighborsClassifier(1).fit(train.x, train.y).score(test.x, test.y)
    assert peer > 0.8 > KNeighborsClassifier(NEIGHBOURS).fit(train.x, train.y).score(test.x, test.y)
    assert neighbour_accuracy(TrialData(train, NONE, test, classes=2)) == pytest.approx(peer, abs=1e-12)


@pytest.mark.parametrize("apart", [1.0, 2.0, 4.0])
def test_it_is_near_the_best_rule_there_is(apart: float) -> None:
    """Φ(apart/2): the cut between the means. A vote of 15 errs little more often, and luck has its part."""
    data = TrialData(bells(2_000, 1, apart, 2), NONE, bells(1_000, 1, apart, 3), classes=2)
    best = 0.5 * (1.0 + math.erf(apart / 2.0 / math.sqrt(2.0)))
    found = neighbour_accuracy(data)
    assert found is not None
    assert best - 0.07 < found < best + 0.03


def test_a_feature_that_never_changes_counts_nothing() -> None:
    train, test = bells(300, 2, 2.0, 4), bells(100, 2, 2.0, 5)
    alone = TrialData(Part(train.x[:, :1], train.y), NONE, Part(test.x[:, :1], test.y), classes=2)
    same = [Part(torch.cat([its.x[:, :1], torch.full((len(its), 1), 3.0)], dim=1), its.y) for its in (train, test)]
    assert neighbour_accuracy(TrialData(same[0], NONE, same[1], classes=2)) == neighbour_accuracy(alone)


def test_it_is_not_known_of_many_features_few_cases_values_tokens_images_and_sequences() -> None:
    def known(train: Part, test: Part, target: str = "class") -> bool:
        return neighbour_accuracy(TrialData(train, NONE, test, classes=2, target=target)) is not None  # type: ignore[arg-type]

    def of(*shape: int) -> Part:
        return Part(torch.zeros(30, *shape), torch.arange(30) % 2)

    assert known(of(MOST_FEATURES), of(MOST_FEATURES))
    assert not known(of(MOST_FEATURES + 1), of(MOST_FEATURES + 1))
    assert not known(of(3).take(torch.arange(NEIGHBOURS - 1)), of(3))
    assert not known(of(3), NONE)
    assert not known(of(3), of(3), "value")
    assert not known(of(3), of(3), "class_per_step")
    assert not known(of(1, 4, 4), of(1, 4, 4))
    assert not known(Part(of(3).x.long(), of(3).y), Part(of(3).x.long(), of(3).y))
