"""How many small faults, put into the source one at a time, the tests notice.

    pip install cosmic-ray
    python experiments/mutation_score.py                         # 40 minutes on two cores
    python experiments/mutation_score.py physics/waves.py        # one file
    python experiments/mutation_score.py --again                 # those that no test noticed

The mutants are those of cosmic-ray's operators (+ for -, < for <=, a number more or one less, a
condition turned over, a loop left out, ...) and functions taken for one another (sin and cos, ...).
A seeded sample of each file's is drawn: first one for each place, then a second one, and so on.
Annotations and texts are left alone, and so are operators that the operands cannot have. Each
mutant is put into a copy of the package, in a temporary folder, and the tests of the file run until
one fails. A test run of more than ten times the usual time (and a minute) counts as noticed.

Prints the score of each file, and every mutant that no test noticed; `metrics.json` holds all.
Compare with the equivalent mutants, which no test can notice, in docs/reliability.md.
"""

import argparse
import ast
import compileall
import difflib
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
    "models/card.py": ("test_card.py",),
}
# What takes long to import and is not changed: once, before the processes of the mutants start.
IMPORTED = ("tensorflow", "keras", "scipy.ndimage", "h5py", "skimage", "pytest")
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
ORDER = ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")
ALIKE = (
    ("sin", "cos"), ("floor", "ceil"), ("min", "max"), ("minimum", "maximum"), ("any", "all"),
    ("fft2", "ifft2"), ("rfft2", "irfft2"), ("fftfreq", "rfftfreq"), ("mean", "sum"),
)  # fmt: skip


class OtherFunction(Operator):
    """Takes a function for the one that it is most like."""

    def mutation_positions(self, node):
        """The places of such functions."""
        if isinstance(node, parso.python.tree.Name) and self._other(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        """The other function's name."""
        node.value = self._other(node)
        return node

    @staticmethod
    def _other(node):
        return next(
            (pair[1 - pair.index(node.value)] for pair in ALIKE if node.value in pair), None
        )

    @classmethod
    def examples(cls):
        """None: cosmic-ray's own tests alone use them."""
        return ()


def makes_sense(name):
    """Whether what an operator writes can be meant: 1.5 << 2 fails at once, and shows nothing."""
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
    """A sample that spreads over all places before it takes a second mutant of one."""
    found = mutants(source)
    random.Random(seed).shuffle(found)
    ranks, used = [], Counter()
    for mutant in found:
        ranks.append(used[mutant[2]])
        used[mutant[2]] += 1
    order = sorted(range(len(found)), key=lambda i: ranks[i])[:count]
    return sorted((found[i] for i in order), key=lambda mutant: mutant[2])


def status_of_tests(folder, tests, limit):
    """The status with which pytest ends in a process of its own, None where it takes too long."""
    process = os.fork()
    if process == 0:
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
    """What a mutant is known by in a later run."""
    return mutant["operator"], mutant["occurrence"], *mutant["diff"]


def score(name, folder, arguments, before):
    """The outcomes of one file's mutants."""
    path = folder / "mcnn_keras" / name
    source = path.read_text()
    cached = Path(importlib.util.cache_from_source(path))
    cached.unlink(missing_ok=True)
    began = time.monotonic()
    if status_of_tests(folder, TESTS[name], 3600) != 0:
        sys.exit(f"the tests of {name} fail as they are:\n{(folder / 'log.txt').read_text()}")
    usual = time.monotonic() - began
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
        noticed = re.search(r"^(?:FAILED|ERROR) (\S+)", log, re.M)
        result["outcome"] = {0: "survived", None: "timed out"}.get(status, "killed")
        result["by"] = noticed and noticed[1]
        if result["outcome"] == "survived":
            print(f"{name}:{result['line']}", *diff, sep="\n    ", flush=True)
    seconds = time.monotonic() - began
    return {"of": len(mutants(source)), "mutants": results, "seconds": seconds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--mutants", type=int, default=60, help="how many of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="those that no test noticed, alone")
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
        compileall.compile_dir(folder / "mcnn_keras", quiet=2)
        # A mutant's own bytecode is never kept, else the next one of the same second would run it.
        sys.dont_write_bytecode = True
        os.environ.update(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed, and some take long
        sys.path.insert(0, str(folder))
        for module in IMPORTED:
            importlib.import_module(module)
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
