"""DINO: predict, from one view of an image, which prototypes a teacher assigns to another view.

Source: Caron et al. 2021, https://arxiv.org/abs/2104.14294.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslmed.core.numbers import Count, Fraction, Positive
from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask
from sslmed.pretext.teacher import Teacher
from sslmed.pretext.views import MILD_INTENSITY, RandomViews, random_views

GLOBAL = 2
"""Views that the teacher sees."""

LOCAL_VIEWS = RandomViews(crop=(0.4, 0.7), intensity=MILD_INTENSITY)
SMALLEST_PROBABILITY = 1e-30  # of which a logarithm is taken


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the cross-entropy between what the teacher and the student say of different views of a case.

    Source: Caron et al. 2021, https://arxiv.org/abs/2104.14294, equations 2 and 3.

    Args:
        student: Logarithms of probabilities, `(B, V, K)`; the first views are those that the teacher sees.
        teacher: Probabilities, `(B, 2, K)`.

    Returns:
        The mean over cases and over pairs of different views, `()`.
    """
    with torch.autocast(student.device.type, enabled=False):  # it would round the products
        entropies = -teacher.float() @ student.float().transpose(1, 2)
    of_one_view = entropies.diagonal(dim1=1, dim2=2)
    number = entropies[0].numel() - of_one_view.shape[1]
    return (entropies.sum((1, 2)) - of_one_view.sum(1)).mean() / number


class Prototypes(nn.Linear):
    """Computes the cosine similarities of embeddings `(N, E)` and of learned prototypes: `(N, K)`."""

    def __init__(self, embedding_size: int, number: int) -> None:
        super().__init__(embedding_size, number, bias=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute the similarities `(N, K)` of embeddings `(N, E)`."""
        kind = embeddings.device.type  # the meta device, where shapes are computed, has no autocast
        exact = torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
        with exact:  # it would round the similarities
            return F.linear(F.normalize(embeddings.float(), dim=1), F.normalize(self.weight.float(), dim=1))


class DINO(PretextTask[None]):
    """Predicts, from one view of an image, which prototypes a teacher assigns to another view: self-distillation.

    The teacher sees two large views, the student these and some smaller ones. The teacher's weights follow the
    student's. Its similarities to the prototypes are centred, by their mean over earlier batches, so that not all
    images get one prototype; and they are sharpened by a low temperature, so that not all prototypes are equally
    likely. The loss at chance level is that of the best answer which is the same for all images: the entropy of the
    teacher's mean over the batch.

    Differences from the paper: the momentum and the teacher's temperature do not change during training, the last layer
    is trained from the beginning, smaller views are resized to the size of the image, and there are fewer prototypes
    (published: 65,536, for batches of 1024 photographs).

    Known shortcuts: see `SimCLR`.

    Source: Caron et al. 2021, https://arxiv.org/abs/2104.14294.

    Args:
        encoder: See `PretextTask`.
        views: How the two large views differ.
        local_views: How the smaller views differ.
        n_local: Number of smaller views.
        prototypes: Number of prototypes.
        embedding_size: Length of the embedding that is compared with them.
        temperature: Divides the student's similarities.
        teacher_temperature: Divides the teacher's.
        momentum: Fraction of the teacher's weights that an update keeps (published: 0.996, rising to 1).
        centre_momentum: Fraction of the centre that an update keeps.
        head: Builds the head that embeds an image.
        optimization: See `PretextTask`.

    Raises:
        InputError: If the momentum is out of range.
    """

    least_cases = 2
    centre: Tensor

    def __init__(
        self,
        encoder: Encoder,
        views: RandomViews = RandomViews(),  # noqa: B008 - frozen
        local_views: RandomViews = LOCAL_VIEWS,
        n_local: Count = 2,
        prototypes: Count = 32,
        embedding_size: Count = 64,
        temperature: Positive = 0.1,
        teacher_temperature: Positive = 0.04,
        momentum: Fraction = 0.99,
        centre_momentum: Fraction = 0.9,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, optimization)
        self.views = views
        self.local_views = local_views
        self.n_local = n_local
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.centre_momentum = centre_momentum
        self.head = head(encoder, 1, embedding_size)
        self.prototypes = Prototypes(embedding_size, prototypes)
        self.teacher = Teacher(self._students, momentum)
        self.register_buffer("centre", torch.zeros(prototypes))

    @property
    def _students(self) -> tuple[nn.Module, ...]:
        return self.encoder, self.head, self.prototypes

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, None]:
        """Make random views of every image: two large ones, then the smaller ones.

        Args:
            images: `(B, C, *spatial)`, each from a different case. B over all ranks must be at least 2.
            generator: See `PretextTask.make_task`.

        Returns:
            Views `(B, 2 + n_local, C, *spatial)`, and no targets.

        Raises:
            InputError: If there is only one case.
        """
        self.check_cases(images)
        large = random_views(images, GLOBAL, self.views, generator)
        return torch.cat((large, random_views(images, self.n_local, self.local_views, generator)), dim=1), None

    def read(self, maps: list[Tensor]) -> Tensor:
        """Compute the similarities `(N, K)` of views and prototypes from the feature maps of N views."""
        similarities: Tensor = self.prototypes(self.head(maps))
        return similarities

    def forward(self, inputs: Tensor) -> Tensor:
        """Assign prototypes by the student and by the teacher; in training, first move the teacher.

        Args:
            inputs: `(B, V, C, *spatial)`.

        Returns:
            `(B, 2, V, K)`: logarithms of the student's probabilities; the teacher's probabilities, which are 0 for the
            smaller views.
        """
        similarities = super().forward(inputs).reshape(*inputs.shape[:2], -1)
        teacher = F.pad(self._assigned(inputs[:, :GLOBAL]), (0, 0, 0, inputs.shape[1] - GLOBAL))
        return torch.stack(((similarities / self.temperature).log_softmax(2), teacher), dim=1)

    @torch.no_grad()
    def _assigned(self, views: Tensor) -> Tensor:
        """Return the teacher's probabilities `(B, 2, K)` of views `(B, 2, C, *spatial)`."""
        if self.training:
            self.teacher.follow(self._students)
        encoder, head, prototypes = self.teacher
        similarities = prototypes(head(encoder(views.flatten(0, 1).to(self.dtype)))).reshape(*views.shape[:2], -1)
        probabilities: Tensor = ((similarities - self.centre) / self.teacher_temperature).softmax(2)
        if self.training:
            mean = self.of_all_ranks(similarities).mean((0, 1))
            self.centre.lerp_(mean, 1 - self.centre_momentum)
        return probabilities

    def loss(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002 - the outputs are compared
        """Compute the `distillation_loss` `()`; outputs are `(B, 2, V, K)`, see `forward`."""
        student, teacher = outputs.unbind(1)
        return distillation_loss(student, teacher[:, :GLOBAL])

    def chance_answer(self, outputs: Tensor, targets: None = None) -> Tensor:  # noqa: ARG002
        """Return the mean over cases of what the teacher says, for every case and view: `(B, 2, V, K)`."""
        mean = outputs[:, 1, :GLOBAL].float().mean((0, 1))
        both = torch.stack((mean.clamp_min(SMALLEST_PROBABILITY).log(), mean))
        return both[:, None].expand(outputs.shape)

    def measures(self, outputs: Tensor, targets: None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Return how sure the teacher is, and how often both find the same prototype the likeliest.

        Returns:
            `teacher_entropy`: near the logarithm of the number of prototypes if it does not tell them apart; and
            `agreement`, of the student on one large view and the teacher on the other.
        """
        student, teacher = (each[:, :GLOBAL].float() for each in outputs.unbind(1))
        entropy = -(teacher * teacher.clamp_min(SMALLEST_PROBABILITY).log()).sum(2)
        same = student.argmax(2) == teacher.argmax(2).flip(1)
        return {"teacher_entropy": entropy.mean(), "agreement": same.float().mean()}

    def answers(self, outputs: Tensor, targets: None = None) -> list[Answer]:  # noqa: ARG002
        """Return the likeliest prototype of the first view, by the student, and of the second, by the teacher."""
        student, teacher = outputs[:, 0, 0].float().exp().max(1), outputs[:, 1, 1].float().max(1)
        return [
            Answer(f"prototype {answer} ({sure:.2f}); the teacher says {truth} ({certain:.2f})")
            for answer, sure, truth, certain in zip(
                student.indices.tolist(),
                student.values.tolist(),
                teacher.indices.tolist(),
                teacher.values.tolist(),
                strict=True,
            )
        ]
