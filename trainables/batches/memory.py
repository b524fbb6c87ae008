"""Memory of a machine and its GPU: that it is used up, and giving back what nothing holds any more."""

import gc

import torch


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory, a GPU's or the machine's, is used up."""
    # PyTorch's allocator of the CPU has no error of its own.
    full = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return full or isinstance(error, torch.OutOfMemoryError | MemoryError)


def free_memory() -> None:
    """Collect what only cycles hold, and give a GPU its memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
