"""What a simple classifier reads from a code: logistic regression and a support vector machine.

The settings are those of the read-out of Rawlinson, Ahmed and Kowadlo (2018), except that logistic
regression takes all classes at once where theirs takes one against the rest. Axes: N codes of E
numbers.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC
from torch import Tensor

C, GAMMA, TOLERANCE = 100.0, 0.1, 1e-3
AT_ONCE = 20_000  # codes whose kernel is kept, 4.8 GB with scikit-learn's own copy
READERS = {
    "logistic": lambda: LogisticRegression(C=C, tol=TOLERANCE, max_iter=300),
    "svm": lambda: SVC(C=C, kernel="rbf", gamma=GAMMA, tol=TOLERANCE),
}


def accuracies(
    reader: str, training: tuple[Tensor, Tensor], tests: dict[str, tuple[Tensor, Tensor]]
) -> dict[str, float]:
    """Fit a reader on codes and labels, and return its accuracy on others.

    Codes are centred and divided by one number, the root mean square of the training codes' length:
    the width of the support vector machine's kernel is meant for codes of about this size.

    Args:
        reader: one of `READERS`.
        training: codes `[N, E]` and labels `[N]`.
        tests: more of both, by name.

    """
    codes, labels = (part.cpu().numpy() for part in training)
    middle = codes.mean(0)
    size = np.sqrt(np.square(codes - middle).sum(1).mean())
    known, model = (codes - middle) / size, READERS[reader]()
    # where classes overlap, one matrix product takes half the time of the machine's own kernel
    by_product = reader == "svm" and len(known) <= AT_ONCE
    if by_product:
        model.set_params(kernel="precomputed")

    def features(x: np.ndarray) -> np.ndarray:
        return rbf_kernel(x, known, gamma=GAMMA) if by_product else x

    model.fit(features(known), labels)
    return {
        name: float(model.score(features((c.cpu().numpy() - middle) / size), y.cpu().numpy()))
        for name, (c, y) in tests.items()
    }
