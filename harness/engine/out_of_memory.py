"""Does an error of torch, or of the process, say that memory ran out? Told without torch."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if the error says that memory, of the device or of the process, ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    known = ("DefaultCPUAllocator", "not enough memory", "CUDA out of memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in known)
