"""The autoencoders of the rotation chapter, by name, with what their source scored."""

from dataclasses import dataclass

from invnb.autoencoders import Rotation, Shift
from invnb.autoencoding import Design

ALL = tuple(range(10))
FREE = (0, 1, 2, 3, 5, 6, 7, 8)


@dataclass(frozen=True)
class Drawer:
    """An autoencoder: what it redraws, how it is built, and the source's scores of one network.

    Attributes:
        task: rotation or shift, and which digits are restricted.
        design: the architecture.
        adversarial: whether its codes are pulled to a uniform prior.
        source: the folder of the source's code; None for ours.
        inside: published error of the eight digits of `FREE` in the restricted range; pixels from
            -1 to 1.
        ratios: published error outside over inside, of 4, 9 and the free digits; None where
            it is not known.

    """

    task: Rotation | Shift
    design: Design
    adversarial: bool = False
    source: str | None = None
    inside: float | None = None
    ratios: tuple[float | None, float | None, float | None] | None = None

    @property
    def trained(self) -> tuple[int, ...]:
        """The digits that training shows."""
        return tuple(digit for digit in ALL if digit not in self.task.absent)

    @property
    def free(self) -> tuple[int, ...]:
        """The digits of `FREE` that training shows: what errors of free digits are a mean over."""
        return tuple(digit for digit in FREE if digit in self.trained)


BY_DIGIT = {  # published errors of 0 to 9, inside and outside, by the folder of the source's code
    "x06": (
        (0.0278, 0.0277), (0.0067, 0.0066), (0.0367, 0.0366), (0.0347, 0.0345), (0.0269, 0.0737),
        (0.0355, 0.0355), (0.0229, 0.0231), (0.0207, 0.0206), (0.0414, 0.0416), (0.0218, 0.0421),
    ),
    "19": (
        (0.0465, 0.0465), (0.0177, 0.0177), (0.0612, 0.0610), (0.0546, 0.0534), (0.0449, 0.0959),
        (0.0623, 0.0614), (0.0444, 0.0443), (0.0390, 0.0380), (0.0679, 0.0676), (0.0387, 0.0650),
    ),
    "x75": (
        (0.0090, 0.0089), (0.0027, 0.0027), (0.0095, 0.0094), (0.0083, 0.0081), (0.0071, 0.0106),
        (0.0083, 0.0084), (0.0078, 0.0079), (0.0059, 0.0062), (0.0099, 0.0101), (0.0059, 0.0078),
    ),
}  # fmt: skip
DRAWERS = {
    "AE": Drawer(Rotation(), Design(), False, "x06", 0.028, (2.74, 1.93, 1.00)),
    "AE_128": Drawer(Rotation(), Design(maps=128)),
    "AAE": Drawer(Rotation(), Design(maps=128), True, "19", 0.049, (2.13, 1.68, 0.99)),
    "AE_z128": Drawer(Rotation(), Design(z=128), False, "x75", 0.0077, (1.49, 1.32, 1.00)),
    "AE_raw": Drawer(Rotation(encoding="raw"), Design()),
    "AE_bins": Drawer(Rotation(encoding="bins"), Design()),
    "AE_no_6": Drawer(Rotation(absent=(6,)), Design()),
    "AE_half": Drawer(
        Rotation(restricted=ALL, within=90), Design(), False, "x97", 0.028, (10.5, 11.8, 10.6)
    ),
    "shift": Drawer(Shift(), Design(), False, "x09", 0.0079, (3.82, 2.80, 1.08)),
    "shift_half": Drawer(
        Shift(restricted=ALL, within=10), Design(), False, "x63", 0.0075, (9.56, None, 10.05)
    ),
    "shift_capsules": Drawer(
        Shift(), Design(decoder="capsules"), False, "72", 0.0107, (1.07, 1.09, 1.06)
    ),
}
