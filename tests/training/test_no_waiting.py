"""A training step asks a GPU for no number and copies none to it: either would make Python wait until the GPU is idle.

On a processor this is checked on the meta device, where tensors have no numbers; on a GPU, by torch itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trained_modules import MODULES, module_and_batch

pytestmark = [
    pytest.mark.parametrize("dims", [2, 3]),
    pytest.mark.parametrize("name", MODULES),
    pytest.mark.filterwarnings("ignore:.*self.log"),
]


def _step(name: str, dims: int, device: str) -> Callable[[], torch.Tensor]:
    module, batch = module_and_batch(name, dims, device)
    return lambda: module.training_step(batch, 0)


class NothingIsCopied(TorchDispatchMode):
    """Refuses what puts numbers of the host on a device, be they of a tensor or of a list."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        taken, given = (
            {each.device.type for each in tree_leaves(of) if torch.is_tensor(each) and each.ndim}
            for of in ((args, kwargs), result)
        )
        of_a_list = func is torch.ops.aten.lift_fresh.default and given == {"meta"}
        if of_a_list or ("cpu" in taken and "meta" in given):
            raise AssertionError(f"{func} copies numbers to the device")
        return result


def test_a_step_needs_no_number_of_the_device_and_sends_none(name: str, dims: int, monkeypatch) -> None:
    step = _step(name, dims, "meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the meta device
    with NothingIsCopied():
        step().backward()


@pytest.mark.cuda
def test_a_step_does_not_wait_for_the_gpu(name: str, dims: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    step = _step(name, dims, "cuda")
    with torch.autocast("cuda", torch.bfloat16):
        step().backward()  # what is set up once may wait
        with _waiting_is_an_error():
            step().backward()


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
