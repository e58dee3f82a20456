"""Training sets on disk: a folder of shards, each of many samples, and an index.

``index.json`` describes the set. A shard is one file: a header, the samples one after the other,
each compressed on its own, a table of their places, and a SHA-256 digest of all that. Any sample
can be read alone; the table holds a CRC-32 for each, which is compared as it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..errors import InputError, reason
from .packing import packed, unpacked
from .whole import replacing

INDEX = "index.json"
FORMAT = 1
SHARD_SIZE = 1000  # samples of a file, by default
SPLITS = ("train", "test")
MAGIC = b"mcnnset1"
DIGEST = 32  # bytes at the end of a shard
PLACES = np.dtype([("start", "<u8"), ("bytes", "<u4"), ("crc", "<u4")])

_SHAPE = checks.several(checks.optional(checks.whole(0, 2**16)), least=0, most=8)
_NAME = checks.text(1000, least=1)
_COUNTS = checks.fields(dict.fromkeys(SPLITS, checks.whole(1, 2**40)), SPLITS)
_SHARD = {
    "file": _NAME,
    "split": checks.one_of(*SPLITS),
    "first": checks.whole(0, 2**40),
    "count": checks.whole(1, 2**31),
    "bytes": checks.whole(1, 2**50),
    "sha256": _NAME,
}
# What the samples depend on.
IDENTITY = {
    "format": checks.whole(1, 10**6),
    "problem": checks.fields(
        {"name": _NAME, "config": checks.table(checks.anything)}, ("name", "config")
    ),
    "seed": checks.whole(0, 2**31),
    "image_size": checks.whole(1, 2**16),
    "rounded": checks.flag,
    "samples": _COUNTS,
    "shard_size": checks.whole(1, 2**31),
}
_INDEX = checks.fields(
    {
        **IDENTITY,
        "arrays": checks.fields(
            {"image": _SHAPE, "target": _SHAPE, "conditions": checks.table(_SHAPE)},
            ("image", "target", "conditions"),
        ),
        "fixed": checks.table(checks.anything),
        "complete": checks.flag,
        "shards": checks.several(checks.fields(_SHARD, _SHARD), least=0, most=2**20),
        "command": checks.text(),
        "versions": checks.table(checks.optional(checks.text(1000))),
        "created": checks.text(1000),
    },
    (*IDENTITY, "arrays", "fixed", "complete", "shards"),
)


def identity(index: Mapping[str, Any]) -> str:
    """A digest of what the samples of a set depend on.

    Parameters
    ----------
    index : dict
        The index of the set.
    """
    told = {name: index[name] for name in IDENTITY}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def difference(kept: Any, asked: Any, name: str = "") -> str:
    """The first entry in which two JSON values differ, "seed 0, not 1"; "" if they are equal.

    Parameters
    ----------
    kept, asked : object
    name : str
        What they are.
    """
    if kept == asked:
        return ""
    if not (isinstance(kept, Mapping) and isinstance(asked, Mapping)):
        return f"{name} {kept}, not {asked}"
    key = next(k for k in [*kept, *asked] if kept.get(k) != asked.get(k))
    inner = {"name": name, "config": ""}.get(key, f"{name} {key}".strip())
    return difference(kept.get(key), asked.get(key), inner)


def read_index(folder: str | Path) -> dict[str, Any]:
    """The index of a training set.

    Raises
    ------
    InputError
        If there is none, or it is damaged or of a newer version.
    """
    path = Path(folder) / INDEX
    try:
        told = checks.parsed(path.read_bytes())
        version = told.get("format") if isinstance(told, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise InputError(f"{path} was written by a newer mcnn-keras; upgrade mcnn-keras")
        _INDEX(told, "")
    except OSError as error:
        raise InputError(
            f"{folder} holds no training set ({INDEX}: {error.strerror or reason(error)}); give a "
            "folder that data_tools/simulate_set.py has written"
        ) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({reason(error)}); copy it again, or write the set again"
        ) from None
    return told


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Write the index, completely or not at all."""
    with replacing(folder / INDEX) as part:
        part.write_text(json.dumps(index, indent=1, allow_nan=False) + "\n")


def shard_name(split: str, first: int, shard_size: int) -> str:
    """The name of the file that holds the sample `first` of a split and those after it."""
    return f"{split}-{first // shard_size:06}.set"


class TrainingSet:
    """A complete set whose samples are read one by one, in any order, from any thread.

    Parameters
    ----------
    folder : str or Path

    Attributes
    ----------
    index : dict
        The content of ``index.json``.

    Raises
    ------
    InputError
        If it is not a complete set, or a shard is missing or of another length.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.index = read_index(folder)
        self._tables: dict[Path, np.ndarray] = {}
        names = list(self.index["arrays"]["conditions"])
        shapes = self.index["arrays"]
        self.shapes = [shapes["image"], shapes["target"], *(shapes["conditions"][n] for n in names)]
        self.conditions = names
        if not self.index["complete"]:
            raise InputError(f"the training set {folder} is not complete; {self._again()}")
        expected = {(split, first) for split, first, _ in parts(self.index)}
        self._shards = {(s["split"], s["first"]): s for s in self.index["shards"]}
        if set(self._shards) != expected or any(
            self._shards[split, first]["count"] != count
            for split, first, count in parts(self.index)
        ):
            raise InputError(
                f"{self.folder / INDEX} is damaged (its shards are not those of its samples); "
                f"{self._again()}"
            )
        for shard in self.index["shards"]:
            path = self.folder / Path(shard["file"]).name
            try:
                size = path.stat().st_size
            except OSError as error:
                raise self._damaged(path, error.strerror or reason(error)) from None
            if size != shard["bytes"]:
                raise self._damaged(path, f"it has {size} bytes, not {shard['bytes']}")

    def read(self, split: str, number: int) -> list[np.ndarray]:
        """The arrays of a sample: image, target, and the conditions that vary; all float32.

        Parameters
        ----------
        split : {'train', 'test'}
        number : int
            From 0.

        Raises
        ------
        InputError
            If the shard is damaged.
        """
        first = number - number % self.index["shard_size"]
        shard = self._shards[split, first]
        path = self.folder / Path(shard["file"]).name
        try:
            with open(path, "rb", buffering=0) as file:
                table = self._tables.get(path)
                if table is None:
                    table = self._tables[path] = _table(file, shard["bytes"], shard["count"])
                arrays = _sample(file, table[number - first])
            if len(arrays) != len(self.shapes) or not all(map(_fits, arrays, self.shapes)):
                raise ValueError("it has other arrays than the index says")
        except OSError as error:
            raise self._damaged(path, error.strerror or reason(error)) from None
        except (ValueError, LookupError, struct.error, MemoryError) as error:
            raise self._damaged(path, f"sample {number}: {reason(error)}") from None
        return arrays

    def _damaged(self, path: Path, why: str) -> InputError:
        return InputError(f"the shard {path} is damaged or missing ({why}); {self._again()}")

    def _again(self) -> str:
        command = self.index.get("command")
        way = f"run {command}" if command else "write the set again with the same options"
        return f"{way} (finished shards are checked and kept)"


def parts(index: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """The shards that a set consists of: split, number of the first sample, and count."""
    size = index["shard_size"]
    return [
        (split, first, min(size, index["samples"][split] - first))
        for split in SPLITS
        for first in range(0, index["samples"][split], size)
    ]


def write_shard(
    path: Path, header: Mapping[str, Any], samples: Iterable[Sequence[np.ndarray]], rounded: bool
) -> dict[str, Any]:
    """Write a shard, completely or not at all.

    Parameters
    ----------
    path : Path
    header : dict
        What the samples are; `kept_shard` compares it.
    samples : iterable
        The arrays of each sample, float32.
    rounded : bool
        Round the arrays of each sample, see `packed`.

    Returns
    -------
    dict
        ``bytes`` and ``sha256``.
    """
    digest = hashlib.sha256()
    told = json.dumps(header, sort_keys=True).encode()
    with replacing(path) as part, open(part, "wb") as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        write(MAGIC + struct.pack("<I", len(told)) + told)
        places = []
        for arrays in samples:
            block = packed(arrays, rounded)
            places.append((file.tell(), len(block), zlib.crc32(block)))
            write(block)
        table = np.array(places, PLACES).tobytes()
        write(table + struct.pack("<I", zlib.crc32(table)))
        write(digest.digest())  # itself a part of the digest in the index, which is of the file
        size = file.tell()
    return {"bytes": size, "sha256": digest.hexdigest()}


def kept_shard(path: Path, header: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `write_shard` returned, if all of the file is as it was written with this header.

    Raises
    ------
    OSError
        If the file is there and cannot be read.
    """
    told = json.dumps(header, sort_keys=True).encode()
    start = MAGIC + struct.pack("<I", len(told)) + told
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the block below
    except FileNotFoundError:
        return None
    with file:
        size = left = os.fstat(file.fileno()).st_size
        if size < len(start) + DIGEST or file.read(len(start)) != start:
            return None
        digest, left = hashlib.sha256(start), size - len(start) - DIGEST
        while left:
            block = file.read(min(left, 2**22))
            if not block:
                return None
            digest.update(block)
            left -= len(block)
        told = file.read(DIGEST)
        if told != digest.digest():
            return None
        digest.update(told)
    return {"bytes": size, "sha256": digest.hexdigest()}


def first_sample_of(path: Path, size: int, count: int) -> list[np.ndarray]:
    """The first sample of a shard that `kept_shard` has checked.

    Parameters
    ----------
    path : Path
    size, count : int
        Bytes and samples of the file.
    """
    with open(path, "rb", buffering=0) as file:
        return _sample(file, _table(file, size, count)[0])


def _fits(array: np.ndarray, shape: Sequence[int | None]) -> bool:
    return array.ndim == len(shape) and all(
        wanted in (None, own) for own, wanted in zip(array.shape, shape, strict=True)
    )


def _table(file: Any, size: int, count: int) -> np.ndarray:
    """The places of a shard's samples."""
    length = count * PLACES.itemsize
    told = _read_at(file, size - DIGEST - 4 - length, length + 4)
    if struct.unpack("<I", told[length:])[0] != zlib.crc32(told[:length]):
        raise ValueError("the table of its samples is not as it was written")
    return np.frombuffer(told, PLACES, count)


def _sample(file: Any, place: Any) -> list[np.ndarray]:
    block = _read_at(file, int(place["start"]), int(place["bytes"]))
    if zlib.crc32(block) != place["crc"]:
        raise ValueError("its checksum is another one")
    return unpacked(block)


def _read_at(file: Any, start: int, count: int) -> bytes:
    file.seek(start)
    found = file.read(count)
    if len(found) != count:
        raise ValueError("it ends early")
    return found
