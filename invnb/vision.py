"""torchvision, importable beside a CPU-only torch as well: `from invnb.vision import torchvision`.

Package indexes pair torchvision's CUDA build with a CPU-only torch. Its compiled operators are then
skipped, and the import fails because it describes two of them, which do not exist
(pytorch/vision issues 9077 and 9085). Declaring these two is enough for data sets, models and
transforms; only the compiled operators themselves (`ops.nms` and the like) stay unavailable.
"""

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms does not exist" not in str(error):
        raise
    import torch

    for _operator in ("nms", "qnms"):
        torch.library.define(
            f"torchvision::{_operator}",
            "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        )
    import torchvision

__all__ = ["torchvision"]
