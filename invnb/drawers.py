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
        inside: published error of the free digits in the restricted range (of all digits, where
            all are restricted); pixels from -1 to 1.
        ratios: published error outside over inside, of 4, 9 and the free digits; None where
            it is not known.

    """

    task: Rotation | Shift
    design: Design
    adversarial: bool = False
    source: str | None = None
    inside: float | None = None
    ratios: tuple[float | None, float | None, float | None] | None = None


DRAWERS = {
    "AE": Drawer(Rotation(), Design(), False, "x06", 0.028, (2.74, 1.93, 1.00)),
    "AE_128": Drawer(Rotation(), Design(maps=128)),
    "AAE": Drawer(Rotation(), Design(maps=128), True, "19", 0.049, (2.13, 1.68, 0.99)),
    "AE_z128": Drawer(Rotation(), Design(z=128), False, "x75", 0.0078, (1.49, 1.32, 1.00)),
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
