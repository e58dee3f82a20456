"""A command that is killed at a moment of a plan: PLAN ARGUMENT...

PLAN is JSON: {"kind": ..., "count": ..., "share": ...}. No cleaning up runs after a kill.
"""

import json
import os
import shutil
import signal
import sys
import threading


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at(count, function, before=None):
    """The function, whose call of that number ends the process: before it, or after it."""
    calls = []

    def counted(*arguments, **named):
        calls.append(1)
        if len(calls) == count and before is not None:
            before(*arguments)
        result = function(*arguments, **named)
        if len(calls) == count:
            die()
        return result

    return counted


def arm(kind, count, share):
    """Make the process end in its count-th call of something, after a share of the call's work."""
    from mcnn_keras.files import formats, sink
    from mcnn_keras.inference.spool import Spool, _line

    def part_of_frames(spool, frames):
        if not spool._files:
            spool._open()
        data = frames.astype("f4").tobytes()
        spool._files[0].write(data[: int(share * len(data))])
        spool._files[0].flush()
        die()

    def part_of_line(spool, frames):
        if not spool._files:
            spool._open()
        data = frames.astype("f4").tobytes()
        line = _line(len(frames), data).encode()
        for file, content in zip(spool._files, (data, line[: int(share * len(line))]), strict=True):
            file.write(content)
            file.flush()
        die()

    def part_of_result(values):
        frames = iterate(values)
        for _ in range(int(share * len(values.frames[:]))):
            yield next(frames)
        die()

    def part_of_sink(file, data):
        file._file.write(bytes(data)[: int(share * len(data))])
        file._file.flush()
        die()

    iterate = formats.Converted.__iter__
    if kind == "frames":
        Spool.append = at(count, Spool.append, part_of_frames)
    elif kind == "line":
        Spool.append = at(count, Spool.append, part_of_line)
    elif kind == "result":
        formats.Converted.__iter__ = part_of_result
    elif kind == "sink":
        sink.Sink.write = at(count, sink.Sink.write, part_of_sink)
    elif kind == "rename":
        os.replace = at(count, os.replace, (lambda *_: die()) if share < 0.5 else None)
    elif kind == "disk":
        os.fsync = at(count, os.fsync)
    elif kind == "remove":
        shutil.rmtree = at(1, shutil.rmtree, (lambda *_: die()) if share < 0.5 else None)
    elif kind == "time":
        threading.Timer(share, die).start()


def tell_what_is_computed():
    from mcnn_keras.inference.spool import Spool

    append, computed = Spool.append, []
    Spool.append = lambda spool, frames: (append(spool, frames), computed.append(len(frames)))
    return computed


if __name__ == "__main__":
    from mcnn_keras.cli import main
    from mcnn_keras.inference import stream  # noqa: F401 - before the timer starts

    arm(**json.loads(sys.argv[1]))
    computed = tell_what_is_computed()
    try:
        main(sys.argv[2:])
    finally:
        print("computed", sum(computed))
