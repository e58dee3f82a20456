"""Words for `mcnn-keras info`: what problems are for, what ranges mean, and where models fail."""

from __future__ import annotations

PURPOSES = {
    "denoise": "Removes noise and detector faults from scanning transmission electron microscope "
    "(STEM) frames and movies.",
    "phase": "Retrieves the phase of a wave from images at the planes below, and at no others.",
    "any_phase": "Retrieves a wave. One model serves all microscopes: planes and optics are given "
    "with the images.",
    "reflection": "Reconstructs the content of a screen from its light on the wall that it faces.",
    "laplacian": "Reconstructs a picture from its Laplacian: the tutorial problem.",
    "paired": "Turns images into what the measured pairs of its training show.",
}  # fmt: skip
# What fails although nothing warns of it; numbers from docs/benchmarks.md.
FAILURES = {
    "denoise": (
        "Fine detail that looks like correlated noise, such as the grain of a film, is removed.",
        "Strong scan distortion: with lines displaced by several pixels and strong noise, a "
        "restored lattice can have the wrong direction.",
        "Good frames can come back worse than they were. Compare with the frame.",
    ),
    "any_phase": (
        "One plane does not determine the amplitude, and refining from one plane takes uneven "
        "illumination for phase.",
        "The printed agreement with the images proves neither the sign of the planes nor the "
        "optics. A dense object must come out positive; otherwise add --flip-defocus.",
        "Images that move or grow with focus give slopes across the field; add --register.",
    ),
    "phase": (
        "It knows no other planes and no other optics than those above.",
        "Objects with larger phase spans than those of the training come out too flat.",
        "Slow changes of fields wider than those of the training are lost in part.",
    ),
    "reflection": (
        "Brightness is often wrong: the camera's automatic exposure hides it.",
    ),
}  # fmt: skip
# Of the models that come with the package, by name.
OF_SHIPPED = {
    "denoise": (
        "20 of 264 simulated frames at -10 to 40 dB came back worse, all from 10 dB on.",
    ),
    "denoise-fast": (
        "35 of 264 simulated frames at -10 to 40 dB came back worse, all from 10 dB on.",
        "Results are 0.9 dB below those of `denoise`.",
    ),
    "phase": (
        "It is worst with one plane near focus: there its error was 0.80 of that of the best "
        "classical method, against 0.44 in the median case.",
    ),
}  # fmt: skip
# The unit and the meaning of each range, by problem. LENGTH stands for the planes' unit.
LENGTH = "length"
_PHASE = {
    "phase_span": ("rad", "difference of the highest and the lowest phase"),
    "absorption": ("", "absorbed share of the amplitude, of phase objects"),
    "amplitude_span": ("", "absorbed share of the amplitude, of other objects"),
    "focus_error": ("", "error of the defocus, as a share of it"),
    "illumination": ("", "unevenness of the intensity over the field"),
}
MEANINGS = {
    "denoise": {
        "contrast_snr": ("dB", "variance of the clean frame to that of the noise"),
        "good_snr": ("dB", "the same, of good frames"),
        "counting": ("", "counting noise, as a share of the noise's variance"),
        "background": ("", "constant background, in means of the image"),
        "inverted": ("", "contrast of a bright field"),
        "gamma": ("", "exponent of a tone curve"),
        "jitter": ("pixels", "displacement of scan lines"),
        "decay": ("", "afterglow that passes to the next pixel"),
        "spill": ("", "share of a pixel in the next one"),
        "point_spread": ("pixels", "width over which noise is correlated"),
        "slow_detector": ("", "noise that passes to the next pixel of a line"),
        "enlarged": ("", "factor of resampling after recording"),
        "turned": ("rad", "rotation after recording"),
        "line_offsets": ("", "offsets of lines, in deviations of the noise"),
        "hot_share": ("", "hot pixels, as a share of all"),
        "hot_height": ("", "their height, in deviations of the noise"),
        "clipped_ends": ("", "share of pixels clipped at either end"),
        "pixel_size": ("A", "pixel size"),
        "energy": ("eV", "energy of the electrons"),
        "semi_angle": ("rad", "convergence semi-angle of the probe"),
        "defocus": ("A", "defocus of the probe"),
        "spherical_aberration": ("A", "spherical aberration of corrected lenses"),
        "uncorrected_aberration": ("A", "the same, of uncorrected lenses"),
        "source": ("A", "standard deviation of the source's image"),
        "exponent": ("", "exponent of the atomic number in the contrast"),
        "radius": ("A", "radius of clusters"),
        "foil": ("A", "thickness of foils"),
        "support": ("A", "thickness of amorphous carbon"),
        "lone_atoms": ("1/A^2", "density of single atoms"),
        "displacement": ("A", "displacement of atoms, standard deviation"),
        "vacancies": ("", "missing atoms, as a share of all"),
        "particle": ("", "radius of particles, as a share of the field"),
        "roughness": ("", "exponent of a random field's spectrum"),
        "softness": ("", "softness of the rims of islands"),
        "facet": ("", "radius of facets, as a share of the field"),
        "fringe": ("pixels", "period of fringes"),
        "grain": ("", "grain of films, as a share of the maximum"),
        "grain_width": ("pixels", "width of the grain"),
        "drift": ("pixels", "drift from frame to frame that alignment left"),
        "wander": ("pixels", "random motion of each frame around the drift"),
        "turning": ("degrees", "rotation from frame to frame"),
        "flicker": ("", "change of the intensity from frame to frame"),
        "event": ("", "height of an atom that comes or goes"),
        "event_width": ("pixels", "its width"),
    },
    "phase": {
        **_PHASE,
        "focus_offset": (LENGTH, "offset of all planes"),
        "aperture": ("", "numerical aperture, as a share of the one stated"),
        "coherence_angle": ("rad", "half-angle of the illumination, added to the stated one"),
        "dose": ("1/pixel", "counts"),
        "white_noise": ("", "noise of the camera, as a share of the mean intensity"),
    },
    "any_phase": {
        **_PHASE,
        "defocus": ("", "wavelength x defocus / (index x pixel size^2), farthest plane"),
        "planes": ("", "number of planes"),
        "wavelength": ("", "wavelength / (index x pixel size)"),
        "aperture": ("", "numerical aperture x pixel size / wavelength; a third have none"),
        "spherical_aberration": ("", "aberration x wavelength^3 / pixel size^4"),
        "coherence": ("pixels", "blur by the illumination at the farthest plane"),
        "focus_offset": ("", "offset of all planes, as a share of the least defocus"),
        "shift": ("pixels", "shift of each plane"),
        "uneven_contrast": ("", "unevenness, as a share of the contrast"),
        "dust": ("", "light that a grain of dust absorbs, as a share"),
        "noise": ("", "counting noise, in deviations of the contrast"),
        "least_noise": ("", "least noise, as a share of the mean intensity"),
        "most_noise": ("", "most noise, as a share of the mean intensity"),
    },
    "reflection": {
        "exposure": ("", "exposure, relative to the automatic one"),
        "counts": ("1/pixel", "counts at full exposure"),
        "read_out": ("", "read-out noise, as a share of full exposure"),
        "vibration": ("pixels", "blur by vibration"),
        "delay": ("", "motion between the two shots, in widths of the screen"),
    },
}
