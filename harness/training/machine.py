"""What memory this machine has free, without torch: /proc, control groups, nvidia-smi."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """Free memory in bytes, and what it is the memory of."""

    bytes: int
    what: str


def free_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> Available | None:
    """Return what a new process may take: MemAvailable, or what is left of the control group's limit if less.

    Without Linux's files, all physical memory, and it is said so.
    """
    free = _mem_available(meminfo)
    if free is None:
        return _physical()
    left = _cgroup_left(cgroup)
    if left is not None and left < free:
        return Available(bytes=left, what="left of the control group's limit")
    return Available(bytes=free, what="available memory")


def visible_gpus() -> tuple[Available | None, ...]:
    """Return the free memory of each GPU that CUDA_VISIBLE_DEVICES leaves, asked of nvidia-smi; () without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=index,uuid,name,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    return read_gpus(done.stdout, os.environ.get("CUDA_VISIBLE_DEVICES")) if done.returncode == 0 else ()


def read_gpus(text: str, visible: str | None = None) -> tuple[Available | None, ...]:
    """Return the GPUs in nvidia-smi's lines "index, UUID, name, MiB"; None for one that does not say what is free.

    `visible` is CUDA_VISIBLE_DEVICES: numbers or beginnings of UUIDs; from the first that names no GPU on, none counts.
    """
    found: dict[tuple[str, str], Available | None] = {}
    for line in text.splitlines():
        start, _, free = line.rpartition(",")
        index, uuid, name = [*(part.strip() for part in start.split(",", 2)), "", "", ""][:3]
        if name:
            known = free.strip().isdecimal()
            found[index, uuid] = Available(bytes=int(free) << 20, what=f"free on {name}") if known else None
    if visible is None:
        return tuple(found.values())
    chosen = []
    for wanted in (part.strip() for part in visible.split(",")):
        match = [gpu for gpu in found if wanted and (gpu[0] == wanted or gpu[1].startswith(wanted))]
        if not match:
            break
        chosen.append(found[match[0]])
    return tuple(chosen)


def _mem_available(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    fields = next((line.split() for line in lines if line.startswith("MemAvailable:")), [])
    return int(fields[1]) << 10 if len(fields) > 1 and fields[1].isdecimal() else None


def _cgroup_left(root: Path) -> int | None:
    """Return the limit less what is used (without file cache that can go), by version 2 or 1 of control groups."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, now = _number(root / limit), _number(root / used)
        if most is not None and now is not None and most < _UNLIMITED:
            return max(0, most - now + _stat((root / limit).parent / "memory.stat", cache))
    return None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _stat(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    fields = next((line.split() for line in lines if line.split()[:1] == [name]), [])
    return int(fields[1]) if len(fields) > 1 and fields[1].isdecimal() else 0


def _physical() -> Available | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return Available(bytes=size, what="all of the machine's memory") if size > 0 else None
