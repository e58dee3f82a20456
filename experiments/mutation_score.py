"""Mutation testing: how many small faults in the source the tests detect.

    pip install cosmic-ray
    python experiments/mutation_score.py                     # 20 minutes on two cores
    python experiments/mutation_score.py physics/waves.py    # one file
    python experiments/mutation_score.py --again             # only mutants that survived before

The mutations are those of cosmic-ray (`+` for `-`, `<` for `<=`, a number larger or smaller by
one, a negated condition, a loop that is not run, ...), and a function is replaced by a similar one
(`sin` by `cos`). Annotations and texts are not changed. Of each file a seeded sample is drawn, from
as many different places as possible. A mutant is written to a copy of the package in a temporary
folder; the tests of the file run until the first failure. A run of more than ten times the usual
time, and more than a minute, counts as detected.

Prints every mutant that survived and the score of each file; `metrics.json` holds all mutants.
Equivalent mutants, which no test can detect, count as survived; docs/reliability.md lists them.
"""

import argparse
import ast
import difflib
import gc
import importlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import parso.python.tree
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider

ROOT = Path(__file__).resolve().parent.parent
# The tests of each file, the quickest first.
TESTS = {
    "physics/optics.py": ("test_optics.py",),
    "physics/waves.py": ("test_waves.py", "test_optics.py"),
    "physics/noise.py": ("test_noise.py",),
    "inference/tiles.py": ("test_tiles.py",),
    "models/normalization.py": ("test_normalization.py",),
    "models/card.py": ("test_card.py", "test_tiles.py"),
}
# Slow imports that no mutation changes: done once, before the processes of the mutants start.
IMPORTED = ("tensorflow", "keras", "scipy.ndimage", "h5py", "skimage", "pytest")
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
ORDER = ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")
ALIKE = (
    ("sin", "cos"), ("floor", "ceil"), ("min", "max"), ("minimum", "maximum"), ("any", "all"),
    ("fft2", "ifft2"), ("rfft2", "irfft2"), ("fftfreq", "rfftfreq"), ("mean", "sum"),
)  # fmt: skip


class OtherFunction(Operator):
    """Replaces a function by a similar one."""

    def mutation_positions(self, node):
        """The places of functions of ALIKE."""
        if isinstance(node, parso.python.tree.Name) and self._other(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        """The name of the other function."""
        node.value = self._other(node)
        return node

    @staticmethod
    def _other(node):
        return next(
            (pair[1 - pair.index(node.value)] for pair in ALIKE if node.value in pair), None
        )

    @classmethod
    def examples(cls):
        """None; only the tests of cosmic-ray use them."""
        return ()


def makes_sense(name):
    """Whether a mutation can run: one such as 1.5 << 2 always fails, and tells nothing."""
    kind, *what = name.split("_")
    if kind == "ReplaceBinaryOperator":
        bits = {"BitAnd", "BitOr"}
        return set(what) <= set(ARITHMETIC) or set(what) == bits
    if kind == "ReplaceComparisonOperator":
        return set(what) <= set(ORDER) or set(what) == {"Is", "IsNot"}
    if kind == "ReplaceUnaryOperator":
        return what in (["USub", "UAdd"], ["Delete", "Not"], ["Delete", "Invert"])
    return kind not in ("VariableReplacer", "VariableInserter")


OPERATORS = {name: OperatorProvider()[name]() for name in OperatorProvider() if makes_sense(name)}
OPERATORS["OtherFunction"] = OtherFunction()


def annotations(source):
    """The (start, end) of all annotations, each as (line, column)."""
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if found is not None:
                yield (found.lineno, found.col_offset), (found.end_lineno, found.end_col_offset)


def mutants(source):
    """(operator, occurrence, place) of every mutant, in the order of the source."""
    told, seen, out = list(annotations(source)), Counter(), []
    for node in ast_nodes(get_ast(source)):
        for name, operator in OPERATORS.items():
            for place, _ in operator.mutation_positions(node):
                if not any(start <= place < end for start, end in told):
                    out.append((name, seen[name], place))
                seen[name] += 1
    return out


def drawn(source, count, seed):
    """A sample that takes a second mutant of a place only after one of each place."""
    found = mutants(source)
    random.Random(seed).shuffle(found)
    ranks, used = [], Counter()
    for mutant in found:
        ranks.append(used[mutant[2]])
        used[mutant[2]] += 1
    order = sorted(range(len(found)), key=lambda i: ranks[i])[:count]
    return sorted((found[i] for i in order), key=lambda mutant: mutant[2])


def status_of_tests(folder, tests, limit, keep_bytecode=False):
    """Exit status of pytest in a process of its own; None if it took longer than the limit."""
    process = os.fork()
    if process == 0:
        sys.dont_write_bytecode = not keep_bytecode
        os.environ["PYTHONDONTWRITEBYTECODE"] = "" if keep_bytecode else "1"
        os.setsid()
        os.chdir(folder)
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        import pytest

        status = 70
        try:
            names = [f"tests/{name}" for name in tests]
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *names]))
            if not sys.modules["mcnn_keras"].__file__.startswith(str(folder)):
                status = 71
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    began = time.monotonic()
    while time.monotonic() < began + limit:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def key(mutant):
    """What identifies a mutant in a later run."""
    return mutant["operator"], mutant["occurrence"], *mutant["diff"]


def score(name, folder, arguments, before):
    """Outcomes of the mutants of one file."""
    path = folder / "mcnn_keras" / name
    source = path.read_text()
    began = time.monotonic()
    if status_of_tests(folder, TESTS[name], 3600, keep_bytecode=True) != 0:
        sys.exit(f"the tests of {name} fail as they are:\n{(folder / 'log.txt').read_text()}")
    usual = time.monotonic() - began
    # Bytecode of a mutant is never kept: a second mutant in the same second would run it.
    Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)
    earlier = {key(m): m for m in before["mutants"]} if arguments.again and before else {}
    results = []
    for operator, occurrence, place in drawn(source, arguments.mutants, arguments.seed):
        mutated = mutate_code(source, OPERATORS[operator], occurrence)
        changed = difflib.unified_diff(source.splitlines(), mutated.splitlines(), lineterm="", n=0)
        diff = [line for line in changed if not line.startswith(("---", "+++", "@@"))]
        result = {"operator": operator, "occurrence": occurrence, "line": place[0], "diff": diff}
        results.append(result)
        known = earlier.get(key(result), result)
        if known.get("outcome", "survived") != "survived":
            result.update(outcome=known["outcome"], by=known["by"])
            continue
        try:
            path.write_text(mutated)
            status = status_of_tests(folder, TESTS[name], max(60, 10 * usual))
        finally:
            path.write_text(source)
        log = (folder / "log.txt").read_text()
        if status in (70, 71):
            sys.exit(f"the run itself failed:\n{log}")
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", log, re.M)
        result["outcome"] = {0: "survived", None: "timed out"}.get(status, "killed")
        result["by"] = failed and failed[1]
        if result["outcome"] == "survived":
            print(f"{name}:{result['line']}", *diff, sep="\n    ", flush=True)
    seconds = time.monotonic() - began
    return {"of": len(mutants(source)), "mutants": results, "seconds": seconds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--mutants", type=int, default=60, help="how many of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="only those that survived before")
    parser.add_argument("--output", type=Path, default=Path("runs/mutation_score"))
    arguments = parser.parse_args()
    told = arguments.output.resolve() / "metrics.json"
    told.parent.mkdir(parents=True, exist_ok=True)
    metrics = json.loads(told.read_text()) if told.exists() else {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        skipped = shutil.ignore_patterns("__pycache__")
        for part in ("mcnn_keras", "tests"):
            shutil.copytree(ROOT / part, folder / part, ignore=skipped)
        shutil.copy(ROOT / "pyproject.toml", folder)
        os.environ.update(PYTHONPATH=str(folder), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        sys.path.insert(0, str(folder))
        for module in IMPORTED:
            importlib.import_module(module)
        gc.freeze()  # else garbage collection copies the parent's memory in each process
        for name in arguments.files or TESTS:
            metrics[name] = score(name, folder, arguments, metrics.get(name))
            told.write_text(json.dumps(metrics, indent=1))
    heads = ("mutants", "drawn", "killed", "survived", "timed out", "score")
    print(f"{'file':26}", *(f"{head:>9}" for head in heads))
    for name in arguments.files or TESTS:
        counts = Counter(mutant["outcome"] for mutant in metrics[name]["mutants"])
        number = sum(counts.values())
        values = (metrics[name]["of"], number, *(counts[kind] for kind in heads[2:5]))
        part = f"{1 - counts['survived'] / number:.0%}"
        print(f"{name:26}", *(f"{value:9}" for value in values), f"{part:>9}")


if __name__ == "__main__":
    main()
