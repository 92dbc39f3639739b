"""Archives of files, unpacked once into the cache."""

import shutil
import tarfile
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from tqdm.auto import tqdm

from invnb.data import DataError
from invnb.paths import cache_dir


def unpacked(archive: Path) -> Path:
    """Return the folder with an archive's files, which are unpacked once, in one step.

    Raises:
        DataError: an archive that cannot be read, or a cache that cannot be written to.

    """
    about = archive.stat()
    digest = sha256(f"{archive.resolve()} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()
    folder = cache_dir() / "images" / digest[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        with tarfile.open(archive) as files:
            members = tqdm(files, f"unpacking {archive.name}", leave=False, unit=" files")
            files.extractall(temporary, members, filter=_plain)
        temporary.rename(folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        if not folder.is_dir():  # else another process was faster
            raise DataError(f"archive {archive} cannot be unpacked ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _plain(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo | None:
    """Return a file or folder inside of the archive, None for all else, which is not unpacked.

    tarfile's own filter asks the file system about every path, and takes 20 times as long. Without
    links, a path's text says where it leads.
    """
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        return None
    return member.replace(mode=0o755 if member.isdir() else 0o644, deep=False)
