"""On what kind of file system a folder lies, as Linux's mount table says."""

import os
from pathlib import Path
from typing import Final

BINDING: Final = frozenset({"ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs"})
"""An allocated block is there when it is written to, so an allocated file can be mapped without SIGBUS."""

NETWORK: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gpfs"),
        *("lustre", "nfs", "nfs4", "panfs", "pvfs2", "smb3", "smbfs", "wekafs"),
    }
)
"""Served by another machine: locks and mapped memory are not to be relied on."""

VANISHING: Final = frozenset({"aufs", "fuse.fuse-overlayfs", "overlay", "ramfs", "rootfs", "tmpfs"})
"""Of a container's own image, or in memory: gone with the container, unless somebody keeps it."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


def file_system_of(folder: Path) -> str:
    """The type of the file system of *folder*, or of its nearest parent that exists; "" where unknown."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        device = folder.stat().st_dev
        mounts = _MOUNTS.read_text()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ", 3)[2] == wanted:
            return after.split(" ", 1)[0]
    return ""


def goes_with_its_container(folder: Path) -> bool:
    """Whether *folder* is probably gone as soon as the process is that the container was started for."""
    return file_system_of(folder) in VANISHING
