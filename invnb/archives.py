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
        with tarfile.open(archive, "r|*") as files:  # a stream, which is never read twice
            for member in tqdm(files, f"unpacking {archive.name}", leave=False, unit=" files"):
                if member.isfile() and _inside(member.name):
                    target = temporary / member.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(files.extractfile(member).read())
        temporary.rename(folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        if not folder.is_dir():  # else another process was faster
            raise DataError(f"archive {archive} cannot be unpacked ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _inside(name: str) -> bool:
    """Say whether a path leads into the archive's folder; no links are unpacked that could mislead.

    tarfile's own way asks the file system several times about every file, and takes minutes.
    """
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
