"""Sub-cluster AdaCos: cross-entropy of cosines to several points of each class, at a scale that follows the training.

References:
    Zhang et al., AdaCos: adaptively scaling cosine logits, CVPR 2019;
    Wilkinghoff, Sub-cluster AdaCos: learning representations for anomalous sound detection, IJCNN 2021.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def first_scale(n_points: int) -> float:
    """The scale of AdaCos before the first step, `sqrt(2) log(points - 1)`."""
    return math.sqrt(2) * math.log(max(n_points - 1, 2))


def adapted_scale(cosines: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """The scale at which the loss is steepest about the median angle to the clips' own points.

    Args:
        cosines: to all points, class by class `[B, K * sub_clusters]`.
        targets: how much of each class `[B, K]`.
        scale: the one before `[]`.

    Returns:
        `log(B) / cos(min(pi / 4, median angle))`, with B the mean over the batch of `sum exp(scale * cosine)`, and the
        angle that to the nearest point of the greatest class.
    """
    own = cosines.view(*targets.shape, -1).amax(dim=2).gather(1, targets.argmax(dim=1, keepdim=True))
    angle = own.clamp(-1, 1).acos().median().clamp(max=math.pi / 4)
    total = torch.logsumexp((scale * cosines).flatten(), dim=0)
    return (total - math.log(len(cosines))) / angle.cos()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy; the probability of a class is the sum of those of its points.

    Args:
        logits: of all points, class by class `[B, K * sub_clusters]`.
        targets: how much of each class `[B, K]`.
    """
    classes = logits.view(*targets.shape, -1).logsumexp(dim=2)  # [B, K]
    return -(targets * F.log_softmax(classes, dim=1)).sum(dim=1).mean()
