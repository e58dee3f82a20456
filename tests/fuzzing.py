"""Damage to files, by seeds, and workers that try what becomes of it.

A worker takes many seeds, so that slow imports are made once. None may end by a signal, take ten
seconds of the processor or two gigabytes for one seed, or raise anything but `InputError`.
"""

import collections
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS, BYTES = 10, 2 * 2**30


def damaged_bytes(content, rng):
    """Flipped bits, a cut, zeros, or blocks that changed places."""
    content = bytearray(content)
    kind = rng.choice(["bits", "byte", "cut", "zeros", "swap", "noise"])
    place, length = rng.randrange(len(content)), rng.choice([1, 4, 16, 512, 4096])
    if rng.random() < 0.5:  # the metadata of the file lies there
        place = rng.randrange(min(4096, len(content)))
    if kind == "bits":
        for _ in range(rng.choice([1, 1, 3, 20])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        content[place] = rng.choice([0, 1, 127, 128, 255])
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place : place + length] = bytes(len(content[place : place + length]))
    elif kind == "noise":
        content[place : place + length] = rng.randbytes(len(content[place : place + length]))
    else:
        other = rng.randrange(len(content))
        a, b = content[place : place + length], content[other : other + length]
        content[other : other + len(a)], content[place : place + len(b)] = a, b
    return bytes(content)


def work(make, first, last):
    """Try the seeds in this process, which may end by it; tells each before it is tried.

    `make` gives, for an empty folder, a function that takes a random generator, and returns what
    became of the damage.
    """
    from mcnn_keras import InputError

    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        one = make(Path(folder))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        for seed in range(first, last):
            print(f"seed {seed}", flush=True)
            # Of this process, whatever else the machine does; the time on the wall for what sleeps.
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(60 * SECONDS)
            try:
                counts[one(random.Random(seed))] += 1
            except InputError as error:
                counts["is refused"] += 1
                if "\n" in str(error) or len(str(error)) > 1000:
                    print(f"FAILED {seed}: more than a line: {error!r}", flush=True)
            except Exception as error:
                told = " ".join(str(error).split())[:300]
                print(f"FAILED {seed}: {type(error).__name__}: {told}", flush=True)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.alarm(0)
    print(json.dumps(counts), flush=True)


def try_seeds(file, first, last):
    """Try seeds in workers; returns what became of them and which failed, and how."""
    counts, failed = collections.Counter(), []
    while first < last:
        command = [sys.executable, "-W", "ignore", file, str(first), str(last)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = found.stdout.splitlines()
        failed += [line for line in lines if line.startswith("FAILED")]
        if found.returncode == 0:
            counts.update(json.loads(lines[-1]))
            break
        seeds = [int(line.split()[1]) for line in lines if line.startswith("seed")]
        assert seeds, found.stderr[-2000:]
        failed.append(f"FAILED {seeds[-1]}: the worker ended with {found.returncode}")
        first = seeds[-1] + 1
    return counts, failed
