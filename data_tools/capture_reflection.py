"""Record pairs of a screen's picture and a camera's picture of the wall that faces the screen.

    pip install ".[capture]" && python data_tools/capture_reflection.py FILM pairs/ --pairs 1024

Plays a film, or a folder of pictures, full screen. Records screen and camera twice per second, in
memory, and writes pairs/camera/*.png, pairs/screen/*.png and pairs/times.csv at the end. Escape or
Ctrl-C ends early and keeps the recorded pairs. Next step: prepare_reflection.py.
"""

import argparse
import csv
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mcnn_keras.errors import InputError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SETTLING = 1.0  # seconds for the window to appear and the camera's exposure to follow


def main(arguments):
    """Record pairs; an error before the first pair leaves no files behind."""
    if arguments.output.exists():
        raise InputError(f"{arguments.output} is there already; name a new folder")
    for what in ("rate", "pairs"):
        if not getattr(arguments, what) > 0:
            raise InputError(f"{what} is {getattr(arguments, what)}; it must be positive")
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

    require_space(camera.read().nbytes, monitor, arguments)
    pairs = []

    def take():
        shot = np.asarray(grabber.grab(monitor))[..., 2::-1]  # blue, green, red, none
        pairs.append((time.time(), shot, camera.read(), time.time()))
        return len(pairs) == arguments.pairs

    try:
        play(film, monitor, take, 1 / arguments.rate)
    except KeyboardInterrupt:
        pass
    finally:
        camera.close()
    if not pairs:
        raise InputError("stopped before the first pair; nothing is written")
    write(pairs, arguments.output)
    print(f"{len(pairs)} pairs in {arguments.output}")


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


def require_space(camera_bytes, monitor, arguments):
    """Raise InputError unless all pairs fit into memory, and on the disk if not compressed."""
    needed = arguments.pairs * (camera_bytes + 3 * monitor["width"] * monitor["height"])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    parent = next(p for p in arguments.output.absolute().parents if p.exists())
    for place, free in (("memory", memory), ("disk space", shutil.disk_usage(parent).free)):
        if needed > 0.9 * free:
            most = int(arguments.pairs * 0.9 * free / needed)
            raise InputError(
                f"{arguments.pairs} pairs need {needed / 1e9:.1f} GB of {place}, and only "
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


def write(pairs, output):
    """Write all files, under a temporary name until they are complete."""
    import imageio.v3 as iio

    part = output.with_name(output.name + ".part")
    for kind in ("screen", "camera"):
        (part / kind).mkdir(parents=True)
    with open(part / "times.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["pair", "screen_s", "camera_s"])
        for i, (screen_time, shot, seen, camera_time) in enumerate(pairs, 1):
            iio.imwrite(part / "screen" / f"{i:05}.png", shot)
            iio.imwrite(part / "camera" / f"{i:05}.png", seen)
            rows.writerow([i, f"{screen_time:.3f}", f"{camera_time:.3f}"])
    part.rename(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a film, or a folder of pictures")
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--camera", default="0", help="its number, or a video file")
    parser.add_argument("--screen", type=int, default=1, help="its number, from 1")
    parser.add_argument("--pairs", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=2.0, help="pairs a second")
    try:
        main(parser.parse_args())
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
