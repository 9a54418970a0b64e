"""Numbers once computed, kept on disk by the content of what they describe.

A cache is a folder with a folder for each way of computing (descriptor, version, settings, tables), which holds
shards: files of up to about a thousand rows that are written once, under another name first, and never changed. So any
number of processes may share a cache, on network file systems too: at worst two compute the same row, and keep it
twice. Nothing is ever removed; `clear_cache` does that, or delete the folder: only time is lost.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from surrogates.errors import SurrogateError

_KEY_BYTES = 16
_NAMESPACE = re.compile(r"[A-Za-z_]\w*-[0-9a-f]{32}")
_DENSITY = 0.4
"""Shards with a smaller share of numbers other than 0 are kept as sparse matrices."""
_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def content_key(content: bytes) -> bytes:
    """Return 16 bytes that stand for any number of them (BLAKE2b)."""
    return hashlib.blake2b(content, digest_size=_KEY_BYTES).digest()


class DescriptorCache:
    """Rows of numbers by key, in a folder.

    Parameters
    ----------
    folder
        Of the cache; made if it is not there.
    namespace
        What stands for the way of computing: a name, ``-``, and 32 hexadecimal digits.

    Raises
    ------
    SurrogateError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], namespace: str) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise SurrogateError(f"a namespace is NAME-<32 hexadecimal digits>, got {namespace!r}")
        self.folder = Path(folder).expanduser() / namespace
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SurrogateError(
                f"the cache {folder} cannot be made ({error.strerror}): name a folder that can be written, or None"
            ) from error

    def read(self, keys: Sequence[bytes | None], out: np.ndarray) -> np.ndarray:
        """Fill in the rows that are known.

        Parameters
        ----------
        keys
            ``n`` keys; None is never known.
        out
            ``(n, p)`` float64, written to.

        Returns
        -------
        ndarray
            ``(n,)`` whether a row is known.
        """
        wanted: dict[bytes, list[int]] = {}
        for i, key in enumerate(keys):
            if key is not None:
                wanted.setdefault(key, []).append(i)
        known = np.zeros(len(keys), dtype=bool)
        for path in sorted(self.folder.glob("*.npz")):
            if not wanted:
                break
            try:
                self._read_shard(path, wanted, out, known)
            except FileNotFoundError:  # cleared by another process meanwhile
                continue
            except _BROKEN as error:
                warnings.warn(
                    f"{path}: is broken ({type(error).__name__}: {error}); its rows are computed again. Delete it",
                    RuntimeWarning,
                    stacklevel=3,
                )
        return known

    def write(self, keys: Sequence[bytes | None], values: np.ndarray) -> None:
        """Keep rows ``(n, p)`` as one shard; a disk that is full costs a warning, not the numbers."""
        kept = [i for i, key in enumerate(keys) if key is not None]
        if not kept:
            return
        packed = np.frombuffer(b"".join(key for key in keys if key is not None), np.uint8)
        arrays = {"keys": packed.reshape(-1, _KEY_BYTES), **_pack(np.ascontiguousarray(values[kept], dtype=float))}
        name = uuid.uuid4().hex
        temporary = self.folder / f".{name}.tmp"
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            temporary.replace(self.folder / f"{name}.npz")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            warnings.warn(
                f"{self.folder}: {len(kept)} rows could not be kept ({error.strerror})", RuntimeWarning, stacklevel=3
            )

    def _read_shard(self, path: Path, wanted: dict[bytes, list[int]], out: np.ndarray, known: np.ndarray) -> None:
        """Take what is wanted out of one shard, and off the list of what is wanted."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as shard:
            text = np.ascontiguousarray(shard["keys"]).tobytes()
            found = [
                (j, key)
                for j in range(len(text) // _KEY_BYTES)
                if (key := text[j * _KEY_BYTES : (j + 1) * _KEY_BYTES]) in wanted
            ]
            if not found:
                return
            values = _unpack(shard, out.shape[1])
        for j, key in found:
            for i in wanted.pop(key, ()):
                out[i] = values[j]
                known[i] = True


def clear_cache(folder: str | os.PathLike[str]) -> int:
    """Remove what descriptors keep in a folder, and nothing else that lies there.

    Returns
    -------
    int
        Bytes that were freed.
    """
    freed = 0
    for namespace in Path(folder).expanduser().iterdir():
        if namespace.is_dir() and _NAMESPACE.fullmatch(namespace.name):
            freed += sum(path.stat().st_size for path in namespace.iterdir())
            shutil.rmtree(namespace)
    return freed


def _pack(values: np.ndarray) -> dict[str, np.ndarray]:
    if np.count_nonzero(values) > _DENSITY * values.size:
        return {"values": values}
    sparse = csr_array(values)
    return {"data": sparse.data, "indices": sparse.indices.astype(np.int32), "indptr": sparse.indptr.astype(np.int64)}


def _unpack(shard: np.lib.npyio.NpzFile, p: int) -> np.ndarray:
    """Values ``(n, p)`` of a shard; raises ValueError if they are not that."""
    if "values" in shard.files:
        values = shard["values"]
    else:
        indptr = shard["indptr"]
        values = csr_array((shard["data"], shard["indices"], indptr), shape=(len(indptr) - 1, p)).toarray()
    if values.ndim != 2 or values.shape != (len(shard["keys"]), p):
        raise ValueError(f"expected ({len(shard['keys'])}, {p}) numbers, got {values.shape}")
    return np.asarray(values, dtype=float)
