"""Where a store lies, and whether that place can be trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nbflow.errors import StoreRefused

FOLDER = ".nbflow"
OTHERS_WRITE = 0o022
# Kinds of file systems that lie on another machine, or are reached through one.
REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs"}
    | {"9p", "orangefs", "pvfs2", "davfs", "vboxsf", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone"}
    | {"fuse.gcsfuse", "fuse.ceph", "fuse.davfs2", "fuse.gvfsd-fuse"}
)
PROJECT_SIGNS = ("pyproject.toml", ".git")


def find_store(place: str | Path | None = None, *, start: Path | None = None) -> Path:
    """The store's folder: the place given, else NBFLOW_STORE, else `.nbflow` in the project's folder.

    start: where the search begins, by default the working directory. The project's folder is the nearest one
    upwards that holds a `.nbflow`, a `pyproject.toml` or a `.git`; without one, the start itself.
    """
    chosen = place or os.environ.get("NBFLOW_STORE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if any((folder / sign).exists() for sign in (FOLDER, *PROJECT_SIGNS)):
            return folder / FOLDER
    return here / FOLDER


def make_folder(root: Path) -> None:
    """Makes the store's folder, or checks that an existing one can be trusted. Raises StoreRefused.

    Folders above it are not asked: whoever puts another in its place owns that, and what others own is refused.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise StoreRefused(f"the store {root} cannot be made ({error}); {WAY_OUT}") from error
    _check_owner(root, found)
    if os.name == "posix" and found.st_mode & OTHERS_WRITE:
        raise StoreRefused(
            f"the store {root} can be written by others, and a store is code; "
            f"take that right away (chmod 700), or: {WAY_OUT}"
        )
    for inside in (root / "index.sqlite", root / "blobs"):
        _make_private(inside)
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def is_remote(place: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder lies on a network file system; False where the system does not tell (macOS, Windows)."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return False
    real = os.path.join(os.path.realpath(place), "")
    best, kind = "", ""
    for line in lines:
        _, folder, found, *_ = line.split(" ", 3)
        # The table writes blanks in names as octal numbers.
        folder = os.path.join(folder.replace("\\040", " "), "")
        if real.startswith(folder) and len(folder) >= len(best):
            best, kind = folder, found
    return kind in REMOTE


def _check_owner(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise StoreRefused(f"the store {path} is a symbolic link, which could lead anywhere; {WAY_OUT}")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise StoreRefused(f"the store {path} belongs to another user, and a store is code; {WAY_OUT}")


def _make_private(path: Path) -> None:
    """What lies in the folder is checked like it; a generous umask is put right, since nobody else could get in."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    _check_owner(path, found)
    if os.name == "posix" and found.st_mode & OTHERS_WRITE:
        path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS_WRITE)


WAY_OUT = "set NBFLOW_STORE, or Flow(store=...), to a folder of your own"
