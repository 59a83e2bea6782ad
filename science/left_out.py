"""Published rules that are not measured, each by its number, and why."""

from typing import Final

LEFT_OUT: Final[dict[str, str]] = {
    "7, unchanged": "is rule 37's, there over one step",
    "9": "of over-training and wall time, no word on gradients",
    "13, 14": "read the accuracy of every epoch, which is the outcome itself",
    "15": "a table of wrong pairs of activation and loss: our specs cannot ask for one",
    "16, overfit": "of over-training",
    "21": "its 50 bins are not published with the threshold",
    "22, 25": "an F-test at .1 fires by design in a tenth of the layers; overfitting 16 samples is a run of its own",
    "24, sign flips, reg/data": "need 50 steps of one loss sign, and an L2 term: no case has one",
    "30, data": "asks that inputs lie in [−1, 1]: standardised data never do",
    "31–33, gates": "half of the run, the best tenth of losses, 5 epochs: as in the reference, without gates",
    "34": "a rule of epochs in the second half: at steps 0, 10, 50 there is none",
    "42": "of clipping, which no case does",
    "43, dropout, accuracy": "no case has more dropout than that, or a validation part",
    "44": "is how a scaler works, no alarm",
    "46": "gives a usual value and no limits",
    "47": "needs covariance matrices of activations and gives no threshold",
}
