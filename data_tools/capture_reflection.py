"""Record pairs of a screen's picture and a camera's picture of the wall that faces the screen.

    pip install ".[capture]" && python data_tools/capture_reflection.py FILM pairs/ --pairs 1024

Plays a film, or a folder of pictures, full screen, and records screen and camera twice per second:
camera/*.png, screen/*.png and times.csv, in pairs.part/ until all pairs are there, then in pairs/.
Escape or Ctrl-C ends early and keeps the recorded pairs. After a crash --resume goes on where it
ended. Next step: prepare_reflection.py.
"""

import argparse
import contextlib
import os
import queue
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from mcnn_keras.errors import InputError, reason
from mcnn_keras.files import replacing
from mcnn_keras.files.locking import locked

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SETTLING = 1.0  # seconds for the window to appear and the camera's exposure to follow
WAITING = 32  # pairs that may wait to be written
HEAD = "pair,screen_s,camera_s\n"


def main(arguments):
    """Record pairs; an error before the first pair leaves no files behind."""
    for what in ("rate", "pairs"):
        if not getattr(arguments, what) > 0:
            raise InputError(f"{what} is {getattr(arguments, what)}; it must be positive")
    with locked(arguments.output):
        if arguments.output.exists():
            raise InputError(f"{arguments.output} is there already; name a new folder")
        pairs = Pairs(arguments.output.with_name(arguments.output.name + ".part"))
        if pairs.count and not arguments.resume:
            raise InputError(
                f"{pairs.folder} holds {pairs.count} pairs of a recording that was cut short; add "
                "--resume to continue it, or remove the folder"
            )
        try:
            record(arguments, pairs)
        except InputError as error:
            pairs.leave()
            kept = f"; {pairs.written} pairs are kept, go on with --resume" if pairs.written else ""
            raise InputError(f"{error}{kept}") from None
        finally:
            pairs.leave()
        pairs.folder.rename(arguments.output)
    print(f"{pairs.count} pairs in {arguments.output}")


def record(arguments, pairs):
    """Record the pairs that are missing."""
    if pairs.count >= arguments.pairs:
        return
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # failures are reported below
    try:
        import tkinter  # noqa: F401 - a system's Python may lack it

        import cv2
        import mss
    except ImportError as error:
        fix = "run pip install '.[capture]', and install the system package python3-tk"
        raise InputError(f"{error.name} is not installed; {fix}") from None
    film = Film(cv2, arguments.source)
    camera = Camera(cv2, arguments.camera)
    try:
        grabber = mss.MSS()
        monitor = grabber.monitors[arguments.screen]
    except mss.exception.ScreenShotError as error:
        raise InputError(f"the display cannot be recorded ({error}); log in to a desktop") from None
    except IndexError:
        raise InputError(
            f"there is no screen {arguments.screen}; choose 1 to {len(grabber.monitors) - 1}"
        ) from None
    require_space(camera.read().nbytes, monitor, arguments, arguments.pairs - pairs.count)

    def take():
        shot = np.asarray(grabber.grab(monitor))[..., 2::-1]  # blue, green, red, none
        pairs.add(time.time(), shot, camera.read(), time.time())
        return pairs.count == arguments.pairs

    try:
        play(film, monitor, take, 1 / arguments.rate)
    except KeyboardInterrupt:
        pass
    finally:
        camera.close()
    pairs.finish()
    if not pairs.count:
        raise InputError("stopped before the first pair; nothing is written")


class Pairs:
    """Pairs of pictures in a folder, written by a thread; times.csv has a line for each whole one.

    What a kill has left of a pair without a line is removed.

    Attributes
    ----------
    count, written : int
        Pairs that are taken, and those of them that are on the disk.
    """

    def __init__(self, folder):
        self.folder, self.table = folder, folder / "times.csv"
        self.waiting, self.thread, self.failed = queue.Queue(WAITING), None, None
        lines = self.whole_lines()
        self.count = self.written = len(lines)
        self.shapes = [iio.improps(path).shape for path in self.places(1)] if lines else None
        if folder.exists():
            known = {path for i in range(1, self.count + 1) for path in self.places(i)}
            for path in [*folder.glob("screen/*"), *folder.glob("camera/*")]:
                if path not in known:
                    path.unlink()
            with replacing(self.table) as part:
                part.write_text(HEAD + "".join(lines))

    def places(self, number):
        """The two files of a pair."""
        return [self.folder / kind / f"{number:05}.png" for kind in ("screen", "camera")]

    def whole_lines(self):
        """The lines of times.csv before the first that is not as it was written."""
        whole = []
        if self.table.exists():
            for line in self.table.read_text().splitlines(keepends=True)[1:]:
                number = len(whole) + 1
                there = all(path.exists() for path in self.places(number))
                if not re.fullmatch(rf"{number},\d+\.\d{{3}},\d+\.\d{{3}}\n", line) or not there:
                    break
                whole.append(line)
        return whole

    def add(self, screen_time, shot, seen, camera_time):
        """Take a pair; waits where writing is slower than recording."""
        shapes = [shot.shape, seen.shape]
        if shapes != (self.shapes or shapes):
            raise InputError(
                f"screen and camera have pictures of {shapes}, and those of the pairs that are "
                f"there are {self.shapes}; set them as they were, or begin another recording"
            )
        self.shapes = shapes
        if self.thread is None:
            self.thread = threading.Thread(target=self.write_all, daemon=True)
            self.thread.start()
        if self.failed is not None:
            raise InputError(f"{self.folder} cannot be written: {reason(self.failed)}")
        self.waiting.put((screen_time, shot, seen, camera_time))
        self.count += 1

    def finish(self):
        """Write what waits."""
        if self.thread is not None:
            self.waiting.put(None)
            self.thread.join()
            self.thread = None
        if self.failed is not None:
            raise InputError(f"{self.folder} cannot be written: {reason(self.failed)}")

    def leave(self):
        """As `finish`, but no error; an empty folder goes."""
        with contextlib.suppress(InputError):
            self.finish()
        if not self.written and self.folder.exists():
            shutil.rmtree(self.folder)

    def write_all(self):
        """Write each pair that comes, then its line; after an error take them and do nothing."""
        while (pair := self.waiting.get()) is not None:
            if self.failed is None:
                try:
                    self.write(*pair)
                except Exception as error:
                    self.failed = error

    def write(self, screen_time, shot, seen, camera_time):
        """Write a pair: both files, then the line that says so."""
        number = self.written + 1
        for path, picture in zip(self.places(number), (shot, seen), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                iio.imwrite(part, picture, compress_level=1)
        new = not self.table.exists()
        with open(self.table, "a") as file:
            file.write(HEAD * new + f"{number},{screen_time:.3f},{camera_time:.3f}\n")
        self.written = number


class Film:
    """Pictures of a film or of a folder, repeated without end."""

    def __init__(self, cv2, source):
        self.cv2 = cv2
        if source.is_dir():
            self.pictures = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURES)
            if not self.pictures:
                raise InputError(f"{source} holds no pictures ({', '.join(PICTURES)})")
            self.film, self.seconds, self.next = None, 1.0, 0
        else:
            self.film = cv2.VideoCapture(str(source))
            if not source.is_file() or not self.film.read()[0]:
                raise InputError(f"OpenCV cannot read the film {source}; give an mp4 or avi")
            self.seconds = 1 / (self.film.get(cv2.CAP_PROP_FPS) or 25.0)

    def picture(self):
        """The next picture, (height, width, 3), red, green, blue."""
        if self.film is None:
            path = self.pictures[self.next % len(self.pictures)]
            self.next += 1
            picture = self.cv2.imread(str(path))
            if picture is None:
                raise InputError(f"OpenCV cannot read the picture {path}; remove it")
        else:
            good, picture = self.film.read()
            if not good:  # the end: start again
                self.film.set(self.cv2.CAP_PROP_POS_FRAMES, 0)
                picture = self.film.read()[1]
        return picture[..., ::-1]


class Camera:
    """A camera by its number, or a video file instead."""

    def __init__(self, cv2, name):
        self.cv2 = cv2
        self.device = cv2.VideoCapture(int(name) if name.isdigit() else name)
        # Without this, the picture would be several shots old.
        self.device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not self.device.isOpened():
            raise InputError(
                f"the camera {name} does not open; choose another with --camera, or close the "
                "program that uses it"
            )

    def read(self):
        """A picture, (height, width, 3), red, green, blue."""
        good, picture = self.device.read()
        if not good:
            self.device.set(self.cv2.CAP_PROP_POS_FRAMES, 0)
            good, picture = self.device.read()
        if not good:
            raise InputError("the camera sends no more pictures; check its cable")
        return picture[..., ::-1].copy()

    def close(self):
        """Release the camera for other programs."""
        self.device.release()


def require_space(camera_bytes, monitor, arguments, missing):
    """Raise InputError unless the missing pairs fit on the disk, if not compressed."""
    needed = missing * (camera_bytes + 3 * monitor["width"] * monitor["height"])
    parent = next(p for p in arguments.output.absolute().parents if p.exists())
    free = shutil.disk_usage(parent).free
    if needed > 0.9 * free:
        most = arguments.pairs - missing + int(missing * 0.9 * free / needed)
        raise InputError(
            f"{missing} pairs need {needed / 1e9:.1f} GB of disk space, and only "
            f"{free / 1e9:.1f} are free; give --pairs {most}, or use a lower resolution"
        )


def play(film, monitor, take, interval):
    """Show the film full screen and record a pair at each interval, until `take` ends it."""
    import tkinter

    try:
        window = tkinter.Tk()
    except tkinter.TclError as error:
        raise InputError(f"no window can be shown ({error}); log in to a desktop") from None
    width, height = monitor["width"], monitor["height"]
    window.geometry(f"{width}x{height}+{monitor['left']}+{monitor['top']}")
    window.attributes("-fullscreen", True)
    window.configure(background="black", cursor="none")
    label = tkinter.Label(window, borderwidth=0)
    label.pack(expand=True, fill="both")
    failed, stopped = [], []

    def guarded(step):
        # Tk would print an error and continue.
        def run():
            try:
                step()
            except Exception as error:
                failed.append(error)
                window.destroy()

        return run

    def show():
        window.after(max(1, round(1e3 * film.seconds)), guarded(show))
        picture = film.cv2.resize(film.picture(), (width, height))
        header = b"P6 %d %d 255 " % (width, height)
        label.image = tkinter.PhotoImage(data=header + picture.tobytes(), format="PPM")
        label.configure(image=label.image)

    def shoot():
        began = time.monotonic()
        if stopped or take():
            window.destroy()
        else:
            rest = interval - (time.monotonic() - began)
            window.after(max(1, round(1e3 * rest)), guarded(shoot))

    window.bind("<Escape>", lambda event: window.destroy())
    window.after(1, guarded(show))
    window.after(round(1e3 * SETTLING), guarded(shoot))
    # Raised within Tk or the libraries that it calls, a KeyboardInterrupt may be lost.
    before = signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    try:
        window.mainloop()
    finally:
        signal.signal(signal.SIGINT, before)
    if failed:
        raise failed[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a film, or a folder of pictures")
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--camera", default="0", help="its number, or a video file")
    parser.add_argument("--screen", type=int, default=1, help="its number, from 1")
    parser.add_argument("--pairs", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=2.0, help="pairs a second")
    parser.add_argument("--resume", action="store_true", help="continue one that was cut short")
    try:
        main(parser.parse_args())
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
