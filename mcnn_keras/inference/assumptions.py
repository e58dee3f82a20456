"""What a model takes for granted of the images that it is given."""

# Pixels that differ by less than this part are the same.
TOLERANCE = 0.03


def compare_pixels(card, found, source, say):
    """Tell what pixels, planes and light a model was trained for, where images may have others.

    Parameters
    ----------
    card : dict
        Of the model.
    found : float or None
        The size of the images' pixels, in um, where their file tells it.
    source : str or Path
        Of the images.
    say : callable
        Takes a line.
    """
    wanted = card["pixel_size"]
    if wanted is None:
        return
    if found is None:
        say(f"{source} is taken for an image {_terms(card)}; for others: {training_command(card)}")
    elif abs(found / wanted - 1) > TOLERANCE:
        say(
            f"Warning: the pixels of {source} are {found:g} um, but the model was trained for "
            f"images {_terms(card)}; train one for yours: {training_command(card, found)}"
        )


def training_command(card, pixel_size=None):
    """The command that trains a model like that of a card, for pixels of another size in um."""
    name, config = card["problem"]["name"], card["problem"]["config"]
    optics = config.get("optics")
    if optics is None:
        return f"mcnn-keras train {name}"
    electrons = optics["unit"] == "A"
    given = {
        "defocus": config["defocus"],
        "amplitude": config["amplitude"],
        "unit": optics["unit"] if electrons else None,
        "wavelength": optics["wavelength"],
        "pixel-size": (pixel_size * (1e4 if electrons else 1)) if pixel_size
        else optics["pixel_size"],
        "numerical-aperture": optics["numerical_aperture"],
        "refractive-index": optics["refractive_index"] if optics["refractive_index"] != 1 else None,
        "coherence-angle": optics["coherence_angle"] or None,
        "spherical-aberration": optics["spherical_aberration"] or None,
    }  # fmt: skip
    parts = [f"mcnn-keras train {name}"]
    for option, value in given.items():
        if value is True:
            parts.append(f"--{option}")
        elif value not in (None, False):
            values = value if isinstance(value, list) else [value]
            parts += [
                f"--{option} {v:g}" if option != "unit" else f"--{option} {v}" for v in values
            ]
    return " ".join(parts)


def _terms(card):
    """The pixels of a card's images, and the planes and light where it knows them."""
    config = card["problem"]["config"]
    optics = config.get("optics")
    if optics is None:
        return f"of pixels of {card['pixel_size']:g} um"
    unit = {"um": "um", "A": "Angstrom"}[optics["unit"]]
    planes = ", ".join(f"{z:g}" for z in config["defocus"])
    return (
        f"at {planes} {unit} from focus, of pixels of {optics['pixel_size']:g} {unit}, at a "
        f"wavelength of {optics['wavelength']:g} {unit}"
    )
