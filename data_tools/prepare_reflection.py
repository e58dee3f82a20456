"""Prepare recorded pairs of a screen and a camera for training, as in the paper.

    python data_tools/prepare_reflection.py pairs/ ready/
    mcnn-keras train paired --inputs ready/train/camera --targets ready/train/screen --whole

The middle of each camera picture is cut out and mirrored, as the wall faces the screen; each screen
picture is scaled to twice that size. The first 256 pairs are kept apart, in ready/test.
"""

import argparse
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from skimage.transform import resize

from mcnn_keras.errors import InputError
from mcnn_keras.files import replacing
from mcnn_keras.files.pictures import read_picture


def main(arguments):
    """Write ready/train and ready/test, under a temporary name until they are complete."""
    if arguments.output.exists():
        raise InputError(f"{arguments.output} is there already; name a new folder")
    found = {}
    for kind in ("camera", "screen"):
        folder = arguments.pairs / kind
        if not folder.is_dir():
            raise InputError(f"{folder} is not there; give the folder of the recording")
        found[kind] = {path.stem: path for path in folder.iterdir() if path.is_file()}
    names = sorted(set(found["camera"]) & set(found["screen"]))
    if len(names) <= arguments.test:
        raise InputError(
            f"{arguments.pairs} holds {len(names)} pairs, of which {arguments.test} are for "
            "testing; record more, or give a smaller --test"
        )
    width, height = arguments.size
    with replacing(arguments.output) as part:
        for i, name in enumerate(names):
            split = "test" if i < arguments.test else "train"
            camera = cropped(found["camera"][name], height, width)[:, ::-1]
            screen = scaled(found["screen"][name], 2 * height, 2 * width)
            for kind, picture in (("camera", camera), ("screen", screen)):
                (part / split / kind).mkdir(parents=True, exist_ok=True)
                iio.imwrite(part / split / kind / f"{name}.png", picture)
    print(f"{arguments.test} pairs for testing, {len(names) - arguments.test} for training")


def cropped(path, height, width):
    """The middle of a picture."""
    picture = colours(path)
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    if top < 0 or left < 0:
        raise InputError(
            f"{path} has {picture.shape[1]}x{picture.shape[0]} pixels, less than "
            f"{width}x{height}; give a smaller --size"
        )
    return picture[top : top + height, left : left + width]


def scaled(path, height, width):
    """A picture at another size, with averaging when it becomes smaller."""
    picture = resize(colours(path), (height, width, 3), anti_aliasing=True)
    return np.round(255 * picture).astype(np.uint8)


def colours(path):
    """Red, green and blue of a picture file."""
    picture, colour = read_picture(path)
    if not colour:
        raise InputError(f"{path} is not a colour picture; record in colour")
    return picture[..., :3]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="folder with camera/ and screen/")
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("W", "H"),
                        help="of the camera picture that is kept")  # fmt: skip
    parser.add_argument("--test", type=int, default=256, help="pairs kept apart")
    try:
        main(parser.parse_args())
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
