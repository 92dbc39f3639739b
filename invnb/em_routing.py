"""A capsule network with EM routing, as a public fork had it and as it was published.

The fork is the one that the first seed text used; published is Hinton, Sabour and Frosst (2018),
with the temperatures and the least variance of their code. Where the two differ:

=====================  ===============================  ======================================
what                   form "source"                    form "published"
=====================  ===============================  ======================================
last activation        softmax of 0.01 (beta_a - cost)  logistic of l_i (-5000 beta_a - cost)
activations before     softmax of mass                  the logistic, too
cost of a channel      mass (beta_u + log sigma)        mass (2 log sigma + beta_u log(2 pi e))
beta_u                 one for each channel             one for each capsule
child activations      weight shares that then sum to   weight the shares in the M step
                       1 over the parents: they cancel
least variance         1e-9                             5e-4
class capsules         mean of an EM at each position   one EM over all positions
iterations             2                                3
=====================  ===============================  ======================================

Here l_i = 0.01 (1 - 0.95^(i + 1)), the mass of a parent is the sum of its shares, and the softmax
is over parents. Both forms share sizes, starting weights and an E step in logarithms. The fork's
own E step exponentiates first, and loses the shares of its class capsules where votes spread.

Of their code, five things are absent: l_i is not a quarter in the class layer, means are not
damped (0.9 of the new and 0.1 of the old), all betas start at 0 (there beta_a at 0.5 and beta_u
at 0.5, in the class layer at 1 and 2), a child's shares sum to 1 over the parents of one window and
not over all windows that contain it, and coordinates are two more numbers of a vote, where theirs
are added to it.

Axes: B images, H x W pixels, N places that route by themselves, I children and C parents of a
place, X numbers of a pose. The last 16 of a pose are a 4 x 4 matrix, column by column; numbers
before are coordinates, which every parent gets as they are. K classes.
"""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid, mse_loss, one_hot

from invnb.errors import InvnbError

ITERATIONS = {"source": 2, "published": 3}  # of each form, unless said otherwise
LEAST_VARIANCE = {"source": 1e-9, "published": 5e-4}
EPSILON = 1e-9  # added to what is divided by
AT_ONCE = 2**18  # votes; more at a time leave the processor's cache and take longer


def em(
    votes: Tensor,
    activations: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    *,
    form: str,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """Fit a Gaussian of each parent to the votes for it.

    Args:
        votes: `[I, X, N, C]`.
        activations: of the children, `[N, I]`, 0..1.
        beta_u: `[C, X]`, or `[C, 1]` in the published form.
        beta_a: `[C]`.
        form: "source" or "published".
        iterations: of an M step and an activation each, from 1 on, with E steps in between.

    Returns:
        Poses `[N, C, X]` and activations `[N, C]`, 0..1, of the parents.

    """
    parents = votes.shape[-1]
    children = activations.t().unsqueeze(-1)  # (I, N, 1)
    shares = torch.full_like(votes[:, 0], 1 / parents)  # (I, N, C)
    for i in range(iterations):
        shares = shares * children
        if form == "source":
            shares = shares / (shares.sum(-1, keepdim=True) + EPSILON)
        mass = shares.sum(0)  # (N, C)
        weights = (shares / (mass + EPSILON)).unsqueeze(1)
        mean = (weights * votes).sum(0)  # (X, N, C)
        deviation = votes - mean
        square = deviation * deviation
        variance = (weights * square).sum(0) + LEAST_VARIANCE[form]
        last = i == iterations - 1
        if form == "source":
            cost = (mass * (beta_u.t().unsqueeze(1) + 0.5 * variance.log())).sum(0)
            log_activation = (0.01 * (beta_a - cost) if last else mass).log_softmax(-1)
        else:
            constant = beta_u.t().unsqueeze(1) * (1 + math.log(2 * math.pi))
            cost = (mass * (constant + variance.log())).sum(0)
            log_activation = logsigmoid(0.01 * (1 - 0.95 ** (i + 1)) * (-5000 * beta_a - cost))
        if not last:
            log_density = -(square * (0.5 / variance)).sum(1) - 0.5 * variance.log().sum(0)
            shares = (log_activation + log_density).softmax(-1)
    return mean.permute(1, 2, 0), log_activation.exp()


def votes(poses: Tensor, matrices: Tensor) -> Tensor:
    """Return what each child says of each parent's pose.

    Args:
        poses: of the children, `[N, I, X]`.
        matrices: `[I, 4, 4, C]`: a pose's matrix times the one whose columns are the second axis.

    Returns:
        `[I, X, N, C]`: an order in which the sums of `em` over children and over the numbers of a
        pose both go through memory in long runs.

    """
    n, children, x = poses.shape
    rows = poses[..., -16:].unflatten(-1, (4, 4)).permute(1, 3, 0, 2)  # (I, row, N, column)
    products = rows.reshape(children, 1, 4 * n, 4) @ matrices  # (I, column, row * N, C)
    products = products.view(children, 16, n, -1)
    if x == 16:
        return products
    coordinates = poses[..., :-16].permute(1, 2, 0).unsqueeze(-1)
    return torch.cat((coordinates.expand(-1, -1, -1, products.shape[-1]), products), 1)


class _InParts(torch.autograd.Function):
    """A function of places, a few at a time; what its gradient needs is worked out again.

    All votes at once would leave the processor's cache, and waiting for memory takes most of the
    time then.
    """

    @staticmethod
    def forward(ctx, function, size, poses, activations, *parameters):  # noqa: ANN001, ANN002, ANN205
        ctx.function, ctx.size = function, size
        ctx.save_for_backward(poses, activations, *parameters)
        parts = zip(poses.split(size), activations.split(size), strict=True)
        found = [function(*part, *parameters) for part in parts]
        return tuple(torch.cat(tensors) for tensors in zip(*found, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):  # noqa: ANN001, ANN002, ANN205
        poses, activations, *parameters = (x.detach() for x in ctx.saved_tensors)
        inputs, shared = [], [torch.zeros_like(p) for p in parameters]
        parts = (x.split(ctx.size) for x in (poses, activations, *gradients))
        for pose, activation, *gradient in zip(*parts, strict=True):
            leaves = [x.requires_grad_() for x in (pose, activation, *parameters)]
            with torch.enable_grad():
                found = ctx.function(*leaves)
            own = torch.autograd.grad(found, leaves, gradient)
            inputs.append(own[:2])
            shared = [a + b for a, b in zip(shared, own[2:], strict=True)]
        return None, None, *(torch.cat(x) for x in zip(*inputs, strict=True)), *shared


class EMCapsules(nn.Module):
    """A layer of capsules, routed by `em` at each place on its own."""

    def __init__(self, children: int, parents: int, *, form: str, iterations: int, x: int = 16):
        super().__init__()
        self.form, self.iterations = form, iterations
        self.matrices = nn.Parameter(torch.empty(children, 4, 4, parents))
        nn.init.trunc_normal_(self.matrices, a=-2, b=2)
        self.beta_u = nn.Parameter(torch.zeros(parents, x if form == "source" else 1))
        self.beta_a = nn.Parameter(torch.zeros(parents))

    def forward(self, poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
        """Map poses `[N, I, X]` and activations `[N, I]` to the parents', `[N, C, X]`, `[N, C]`.

        With fewer matrices than children, groups of as many children share them. Routing has the
        precision of the matrices, also where the layers around it have half.
        """
        _, children, x = poses.shape
        matrices = self.matrices.repeat(children // len(self.matrices), 1, 1, 1)
        poses, activations = (t.to(matrices.dtype) for t in (poses, activations))
        leaves = (poses, activations, matrices, self.beta_u, self.beta_a)
        # in bfloat16 the least variance is lost in the rounding of votes, and gradients with it;
        # what `_InParts` works out again in its backward pass is never under autocast
        with torch.autocast(poses.device.type, enabled=False):
            if poses.is_cuda:
                return self._route(*leaves)
            size = max(1, AT_ONCE // (children * x * len(self.beta_a)))
            return _InParts.apply(self._route, size, *leaves)

    def _route(
        self, poses: Tensor, activations: Tensor, matrices: Tensor, beta_u: Tensor, beta_a: Tensor
    ) -> tuple[Tensor, Tensor]:
        return em(
            votes(poses, matrices),
            activations,
            beta_u,
            beta_a,
            form=self.form,
            iterations=self.iterations,
        )


def spread_loss(activations: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return the spread loss of each image, summed over the wrong classes, `[B]`.

    Args:
        activations: of the class capsules, `[B, K]`.
        labels: `[B]`, 0..K-1.
        margin: by how much the label's activation should exceed the others, 0..1.

    """
    label = labels.unsqueeze(1)
    short = (margin - activations.gather(1, label) + activations).clamp_min(0).square()
    return short.scatter(1, label, 0).sum(1)


def spread_margin(epoch: int) -> float:
    """Return the margin of an epoch, counted from 0: 0.2, then 0.035 more each up to 0.9."""
    return min(0.9, 0.2 + 0.035 * epoch)


class EMCapsNet(nn.Module):
    """A convolution, primary capsules, two convolutions of capsules, class capsules, a decoder.

    The sizes are the source's for both forms: A, B, C, D = 32, 8, 16, 16. The source's network
    standardises pixels of 0..255, which makes the same numbers as standardising 0..1. With 28 x 28
    pixels and 8 classes there are 1,466,512 parameters in the form "source" (1,465,896 in the
    other), the decoder's 1,403,152 among them.
    """

    def __init__(
        self,
        classes: int = 8,
        size: int = 28,
        *,
        form: str = "source",
        iterations: int | None = None,
    ):
        super().__init__()
        if form not in ITERATIONS:
            raise InvnbError(f"form is {form!r}; there are {', '.join(ITERATIONS)}")
        if iterations is None:
            iterations = ITERATIONS[form]
        if iterations < 1:
            raise InvnbError(f"iterations is {iterations}; EM routing needs at least 1")
        if size < 17:
            raise InvnbError(f"size is {size}; the convolutions need at least 17 pixels")
        self.size, self.form = size, form
        routing = {"form": form, "iterations": iterations}
        self.standardise = nn.BatchNorm2d(1, affine=False)
        self.first = nn.Conv2d(1, 32, 5, stride=2)
        self.poses = nn.Conv2d(32, 8 * 16, 1)
        self.activations = nn.Conv2d(32, 8, 1)
        self.second = EMCapsules(9 * 8, 16, **routing)
        self.third = EMCapsules(9 * 16, 16, **routing)
        self.last = EMCapsules(16, classes, **routing, x=18)
        self.decoder = nn.Sequential(
            nn.Linear(classes * 18, 512),
            nn.ReLU(),
            nn.Linear(512, 1024),
            nn.ReLU(),
            nn.Linear(1024, size * size),
            nn.Sigmoid(),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def capsules(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images `[B, H, W]` to class capsules: poses `[B, K, 18]`, activations `[B, K]`."""
        maps = torch.relu(self.first(self.standardise(images.unsqueeze(1))))
        poses = self.poses(maps).permute(0, 2, 3, 1).unflatten(-1, (8, 16))
        activations = self.activations(maps).sigmoid().permute(0, 2, 3, 1)
        for layer, stride in ((self.second, 2), (self.third, 1)):
            poses, activations = _convolve(layer, poses, activations, stride)
        b, side = poses.shape[:2]
        # where the middles of the fields of view lie, as fractions of the frame
        along = (8 + 4 * torch.arange(side, device=poses.device)) / self.size
        grid = torch.stack(torch.meshgrid(along, along, indexing="xy"), -1).to(poses.dtype)
        grid = grid.unsqueeze(2).expand(b, -1, -1, poses.shape[3], -1)
        poses = torch.cat((grid, poses), -1).flatten(1, 2)  # (B, position, D, 18)
        activations = activations.flatten(1, 2)
        if self.form == "published":
            return self.last(poses.flatten(1, 2), activations.flatten(1, 2))
        found = self.last(poses.flatten(0, 1), activations.flatten(0, 1))
        return tuple(x.unflatten(0, (b, -1)).mean(1) for x in found)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the activations of the class capsules, `[B, K]`, 0..1."""
        return self.capsules(images)[1]

    def decode(self, poses: Tensor, labels: Tensor) -> Tensor:
        """Map the poses `[B, K, 18]`, of which only the label's is seen, to images `[B, H, W]`."""
        seen = poses * one_hot(labels, poses.shape[1]).unsqueeze(-1)
        return self.decoder(seen.flatten(1)).unflatten(1, (self.size, self.size))

    def loss(self, images: Tensor, labels: Tensor, epoch: int = 0) -> Tensor:
        """Return the batch's mean spread loss and 0.05 times its squared error, a scalar.

        The margin is that of the epoch, see `spread_margin`.

        The squared error is summed over the pixels: 39.2 times their mean in images of 28 x 28.
        """
        poses, activations = self.capsules(images)
        error = mse_loss(self.decode(poses, labels), images)
        spread = spread_loss(activations, labels, spread_margin(epoch)).mean()
        return spread + 0.05 * self.size**2 * error


def _convolve(
    layer: EMCapsules, poses: Tensor, activations: Tensor, stride: int
) -> tuple[Tensor, Tensor]:
    """Route every window of 3 x 3 positions; poses `[B, H, W, C, X]`, activations without X."""
    windows = torch.cat((poses, activations.unsqueeze(-1)), -1)
    windows = windows.unfold(1, 3, stride).unfold(2, 3, stride)  # (B, H, W, C, X + 1, 3, 3)
    places = windows.shape[:3]
    windows = windows.permute(0, 1, 2, 5, 6, 3, 4).flatten(3, 5).flatten(0, 2)
    poses, activations = layer(windows[..., :-1], windows[..., -1])
    return poses.unflatten(0, places), activations.unflatten(0, places)
