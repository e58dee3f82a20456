"""Options that several commands share."""

import functools

import click

CLASSICAL = ("tie", "mf-tie", "gp-tie", "iterative", "variational")
PRESETS = ("fast", "light", "paper", "paper-bottleneck")


def together(*options):
    """One decorator out of several options, which appear in help in the order given."""
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


_defocus = click.option(
    "--defocus", type=float, multiple=True, metavar="UM",
    help="Signed distance of a plane from focus, um, positive downstream; once per plane.",
)  # fmt: skip
_optics = (
    click.option("--wavelength", type=float, default=0.65, show_default=True, help="In um."),
    click.option("--numerical-aperture", type=float, help="[default: 0.45 for light]"),
    click.option("--refractive-index", type=float, default=1.0, show_default=True),
    click.option(
        "--coherence-angle", type=float, default=0.0, show_default=True,
        help="Half-angle of the source at 1/e of its brightness, rad.",
    ),
    click.option(
        "--energy", type=float, metavar="EV",
        help="Electrons of this energy in place of light; all lengths are then in Angstrom, and "
        "the numerical aperture is the half-angle of the objective aperture, rad.",
    ),
    click.option(
        "--spherical-aberration", type=float, default=0.0, show_default=True,
        help="Of the lens, in the unit of length: 1.2e7 for electrons and 1.2 mm.",
    ),
    click.option("--unit", type=click.Choice(["um", "A"]), default="um", hidden=True),
)  # fmt: skip
# Of a measured series, whose files may tell the pixel size.
optics_options = together(
    *_optics,
    click.option(
        "--pixel-size", type=float, help="In the object, um.  [default: what the file says]"
    ),
)  # fmt: skip
series_options = together(
    _defocus,
    click.option(
        "--frames", metavar="I,J,...",
        help="Which images of the input to use, counted from 0.  [default: all]",
    ),
    click.option(
        "--register", is_flag=True,
        help="Take out how the image moves and grows with focus, and tell it.",
    ),
    click.option("--flat", type=click.Path(), help="A frame without the object, to divide by."),
    click.option("--background", type=click.Path(), help="A frame without light, to take away."),
)  # fmt: skip


phase_options = together(
    _defocus,
    click.option(
        "--planes", type=click.Choice(["2", "4", "8", "10", "32"]),
        help="Instead of --defocus: so many of the paper's exponentially spaced planes, whose "
        "networks have --cell resnext --branches 3.",
    ),
    click.option("--amplitude", is_flag=True, help="Retrieve the amplitude, too."),
    *_optics,
    click.option(
        "--pixel-size", type=float, default=0.31, show_default=True, help="In the object, um."
    ),
    click.option(
        "--input", "input_kind", type=click.Choice(["physical", "intensity"]),
        default="physical", show_default=True,
        help="Give the network classical estimates of the wave at focus, too, or the intensities "
        "alone.",
    ),
    click.option(
        "--phase-span", type=float, nargs=2, default=(0.2, 3.0), show_default=True,
        metavar="LOW HIGH", help="Size of the phases to train on, lowest to highest, rad.",
    ),
)  # fmt: skip


def image_options(image_size=256):
    """Options of the target pictures."""
    return together(
        click.option(
            "--images", type=click.Path(), metavar="DIR",
            help="Folder of target pictures, instead of the bundled ones.",
        ),
        size_options(image_size),
    )  # fmt: skip


def size_options(image_size):
    """Options of the samples."""
    return together(
        click.option(
            "--image-size", type=int, default=image_size, show_default=True,
            help="In pixels; a multiple of 64, but for networks of fewer scales.",
        ),
        click.option("--seed", type=int, default=0, show_default=True),
    )  # fmt: skip


def training_options(
    samples=2048, epochs=32, batch_size=8, learning_rate=5e-4, loss="absolute", mixed_sizes=False
):
    """Options of a training run, with the defaults of a problem."""
    return together(
        click.option(
            "--samples", type=int, default=samples, show_default=True, help="Per epoch."
        ),
        click.option("--epochs", type=int, default=epochs, show_default=True),
        click.option("--batch-size", type=int, default=batch_size, show_default=True),
        click.option(
            "--fresh/--fixed", default=True, show_default=True,
            help="New samples in every epoch, or the same ones again.",
        ),
        click.option(
            "--mixed-sizes/--one-size", default=mixed_sizes, show_default=True,
            help="Every fourth batch of samples twice as large, a quarter as many, or none.",
        ),
        click.option(
            "--start", metavar="MODEL",
            help="Start from the weights of a model: a .h5 file, or a shipped model's name.",
        ),
        click.option("--preset", type=click.Choice(PRESETS), default="light", show_default=True),
        click.option("--branches", type=int, help="Coarse outputs; 0 is the plain U-Net."),
        click.option("--cell", type=click.Choice(["plain", "resnext", "xception"])),
        click.option("--normalization", type=click.Choice(["none", "batch", "group"])),
        click.option(
            "--loss", type=click.Choice(["absolute", "squared"]), default=loss, show_default=True
        ),
        click.option(
            "--loss-weights", type=click.Choice(["constant", "annealed"]), default="constant",
            show_default=True,
        ),
        click.option("--growing", is_flag=True, help="Coarse outputs first, finer ones faded in."),
        click.option(
            "--adversarial", type=float, default=0.0, show_default=True, metavar="WEIGHT",
            help="Weight of a discriminator's judgement in the loss; 0 for none.",
        ),
        click.option("--learning-rate", type=float, default=learning_rate, show_default=True),
        click.option(
            "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto",
            show_default=True, help="'auto' measures which is faster.",
        ),
        click.option("--gpus", type=int, help="Number of GPUs.  [default: all]"),
        click.option(
            "--output", type=click.Path(), metavar="RUN_FOLDER",
            help="Where the results go.  [default: runs/PROBLEM]",
        ),
        click.option("--resume", is_flag=True, help="Go on with the run in RUN_FOLDER."),
    )  # fmt: skip


denoise_options = together(
    click.option(
        "--photographs", type=int, metavar="N",
        help="Of the first N samples every second one is a photograph.  [default: a quarter of "
        "all samples]",
    ),
    click.option(
        "--first-layer", type=click.Choice(["spectral-wiener", "low-pass", "none"]),
        default="spectral-wiener", show_default=True,
        help="What the network is given beside the frame: the frame filtered by its own spectrum, "
        "four blurred copies, or nothing.",
    ),
)  # fmt: skip


laplacian_options = together(
    click.option(
        "--noise", type=float, default=0.01, show_default=True,
        help="Standard deviation of the noise on the Laplacian of a picture of 0..1.",
    ),
    click.option(
        "--boundary", type=click.Choice(["zero", "open"]), default="zero", show_default=True,
        help="Beyond the picture: nothing, or more of it, so that its mean is lost.",
    ),
)  # fmt: skip


reflection_options = together(
    click.option("--distance", type=float, default=0.3, show_default=True, help="Of the wall, m."),
    click.option(
        "--screen-width", type=float, default=0.33, show_default=True, help="Of 16:9, in m."
    ),
)  # fmt: skip


def reflection_problem(values):
    """The reflection problem that the options describe; takes its options out of `values`."""
    from ..problems import Reflection

    width = values.pop("screen_width")
    scene = {"distance": values.pop("distance"), "width": width, "height": width * 9 / 16}
    return Reflection(scene, images=values.pop("images"))


paired_options = together(
    click.option(
        "--inputs", type=click.Path(), metavar="DIR",
        help="Folder of images, or file.h5:/dataset of them.",
    ),
    click.option(
        "--targets", type=click.Path(), metavar="DIR",
        help="Folder of their targets, by the same names, or file.h5:/dataset.",
    ),
    click.option(
        "--whole", is_flag=True,
        help="Learn from whole images, all of one size, rather than from windows of --image-size.",
    ),
)  # fmt: skip


def paired_problem(values):
    """The problem of measured pairs that the options describe; says what was matched."""
    from ..problems import Paired

    inputs, targets = values.pop("inputs"), values.pop("targets")
    if inputs is None or targets is None:
        missing = "--inputs" if inputs is None else "--targets"
        raise click.UsageError(f"{missing} is missing; name the folder of images and of targets")
    problem = Paired(inputs, targets, whole=values.pop("whole"))
    for line in problem.report:
        click.echo(line)
    return problem


def laplacian_problem(values):
    """The Laplacian problem that the options describe; takes its options out of `values`."""
    from ..problems import Laplacian

    names = ("noise", "boundary", "images")
    return Laplacian(**{name: values.pop(name) for name in names})


def optics_of(values, pixel_size):
    """The optics that the options describe; takes its options out of `values`."""
    from ..optics import Optics

    names = (
        "wavelength", "numerical_aperture", "refractive_index", "coherence_angle",
        "spherical_aberration", "unit",
    )  # fmt: skip
    fields = {name: values.pop(name) for name in names}
    energy = values.pop("energy")
    if energy is not None:
        return Optics.electron(
            energy, pixel_size, fields["spherical_aberration"], fields["numerical_aperture"],
            fields["coherence_angle"],
        )  # fmt: skip
    if fields["unit"] == "um" and fields["numerical_aperture"] is None:
        del fields["numerical_aperture"]
    return Optics(pixel_size=pixel_size, **fields)


def phase_problem(values):
    """The phase problem that the options describe; takes its options out of `values`."""
    from ..focal_series import exponential_planes
    from ..problems import Phase

    optics = optics_of(values, values.pop("pixel_size"))
    defocus, planes = list(values.pop("defocus")), values.pop("planes")
    if planes is not None:
        series = exponential_planes(int(planes))
        if defocus not in ([], series):  # a resumed run tells its own
            raise click.UsageError("--planes and --defocus name the planes twice; give one of them")
        defocus = series
    return Phase(
        defocus,
        optics,
        amplitude=values.pop("amplitude"),
        input=values.pop("input_kind"),
        phase_span=values.pop("phase_span"),
        images=values.pop("images"),
    )


def denoise_problem(values):
    """The denoising problem that the options describe; takes its options out of `values`."""
    from ..problems import Denoise

    photographs = values.pop("photographs")
    if photographs is None:
        epochs = values.get("epochs", 1) if values.get("fresh", True) else 1
        photographs = values["samples"] * epochs // 4
    first_layer = values.pop("first_layer").replace("-", "_")
    return Denoise(
        photographs=photographs,
        first_layer=None if first_layer == "none" else first_layer,
        images=values.pop("images"),
    )
