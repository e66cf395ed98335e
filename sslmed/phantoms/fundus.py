"""Generates synthetic fundus photographs: disc, vessels, macula, and lesions that follow the grade of retinopathy."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sslmed.phantoms.dots import Dots, View, join
from sslmed.phantoms.lesions import BEADING, Lesions, sample_drusen, sample_lesions, sample_naevi
from sslmed.phantoms.shapes import Floats, smooth_field
from sslmed.phantoms.vessels import sample_vessels

# These values make the task hard, in addition to number and contrast of lesions: how eyes and photographs differ.
BRIGHTNESS = 0.2  # standard deviation of its logarithm
HUE = 0.08  # standard deviation of the logarithm of each channel's gain
BLUR = (0.004, 0.02)  # radii of the retina, least and most
HAZE = (0.0, 0.25)  # fraction of stray light, least and most: the lens scatters
NOISE = (0.01, 0.03)  # of the full scale, per pixel, least and most
TEXTURE = {40: 0.05, 12: 0.03}  # nodes of two scales of the choroid, and relative standard deviation of each

# Colours are red, green, blue in 0..1; absorptions are of each colour's logarithm.
FAIR, DARK = (0.86, 0.47, 0.24), (0.58, 0.25, 0.12)
MACULA = (0.25, 0.45, 0.5)
ARTERIAL_BLOOD, VENOUS_BLOOD, HAEMORRHAGE = (0.2, 0.75, 0.6), (0.5, 1.0, 0.7), (0.75, 1.9, 1.6)
PIGMENT = (0.8, 1.1, 0.9)
DISC, CUP = (0.95, 0.66, 0.40), (1.0, 0.88, 0.66)
LIPID, COTTON, DRUSE = (1.0, 0.9, 0.5), (0.97, 0.9, 0.75), (0.92, 0.72, 0.4)
STRAY = (0.5, 0.42, 0.36)

Colour: TypeAlias = tuple[float, float, float] | Floats

BLOOD = ("microaneurysm", "dot haemorrhage", "blot haemorrhage", "preretinal haemorrhage")


@dataclass(frozen=True)
class Person:
    """Describes what both eyes of a synthetic patient have in common.

    Args:
        pigment: `(3,)`, colour of the fundus.
        gain: `(3,)`, gain of the camera.
        noise: Noise of the camera.
        zoom: Diameter of the retina in heights of the image; above 1 it is cut off at top and bottom.
    """

    pigment: Floats
    gain: Floats
    noise: float
    zoom: float


@dataclass(frozen=True)
class Eye:
    """Describes a synthetic eye, independent of the resolution; lengths are in radii of the retina.

    Args:
        person: The person.
        is_left: Whether it is the left eye.
        disc: Centre of the optic disc, from the fovea.
        disc_radii: Radii of the disc along x and y.
        cup: Radius of the cup, relative to the disc's.
        arteries: Dots.
        veins: Dots.
        drusen: Dots.
        naevi: Dots.
        lesions: Kind -> dots of each lesion.
        texture: `(n, n)` relative brightness, one for each scale.
        light: x and y of the middle of the illumination, and its fall-off.
        haze: Fraction of stray light.
        blur: Standard deviation of the point spread.
        shift: Shift of the retina in the image.
    """

    person: Person
    is_left: bool
    disc: tuple[float, float]
    disc_radii: tuple[float, float]
    cup: float
    arteries: Dots
    veins: Dots
    drusen: Dots
    naevi: Dots
    lesions: Lesions
    texture: list[Floats]
    light: tuple[float, float, float]
    haze: float
    blur: float
    shift: tuple[float, float]


def sample_person(rng: Generator) -> Person:
    """Sample a person from the population, and the camera of the photographs."""
    darkness = rng.beta(1.5, 1.5)
    return Person(
        pigment=(1 - darkness) * np.array(FAIR) + darkness * np.array(DARK),
        gain=np.exp(rng.normal(0, BRIGHTNESS) + rng.normal(0, HUE, 3)),
        noise=rng.uniform(*NOISE),
        zoom=rng.choice([rng.uniform(0.88, 0.98), rng.uniform(1.1, 1.28)]),
    )


def sample_eye(rng: Generator, person: Person, grade: int, *, is_left: bool) -> Eye:
    """Sample an eye of a person.

    Args:
        rng: Random number generator.
        person: The person.
        grade: ICDR grade of diabetic retinopathy, 0 to 4.
        is_left: Whether it is the left eye.
    """
    disc = (rng.normal(0.62, 0.03), rng.normal(-0.05, 0.03))
    arteries, veins = sample_vessels(rng, disc, BEADING[grade])
    radius = rng.normal(0.125, 0.008)
    return Eye(
        person=person,
        is_left=is_left,
        disc=disc,
        disc_radii=(radius * rng.uniform(0.85, 1), radius),
        cup=rng.uniform(0.3, 0.65),
        arteries=arteries,
        veins=veins,
        drusen=sample_drusen(rng),
        naevi=sample_naevi(rng),
        lesions=sample_lesions(rng, grade, disc),
        texture=[rng.normal(0, deviation, (nodes, nodes)) for nodes, deviation in TEXTURE.items()],
        light=(rng.normal(0, 0.25), rng.normal(0, 0.25), rng.uniform(0.15, 0.45)),
        haze=rng.uniform(*HAZE),
        blur=rng.uniform(*BLUR),
        shift=(rng.normal(0, 0.01), rng.normal(0, 0.01)),
    )


def draw_eye(eye: Eye, size: tuple[int, int], rng: Generator) -> NDArray[np.uint8]:
    """Generate the photograph of an eye.

    Args:
        eye: The eye.
        size: Width and height, pixels.
        rng: Random number generator for the noise.

    Returns:
        uint8 `(H, W, 3)`: red, green and blue.
    """
    view = _view(eye, size)
    image = _draw_retina(eye, view)
    x, y = view.coordinates()
    light_x, light_y, fall_off = eye.light
    image *= (1 - fall_off * ((x - light_x) ** 2 + (y - light_y) ** 2)).clip(0.1)
    image += eye.haze * (_channels(STRAY) - image)
    image = gaussian_filter(image * _channels(eye.person.gain), (0, *[view.radius * eye.blur] * 2), truncate=3)
    image += eye.person.noise * rng.standard_normal(image.shape, dtype=np.float32)
    image *= ((1 - np.hypot(x, y)) * view.radius + 0.5).clip(0, 1)  # the aperture
    levels: NDArray[np.uint8] = np.rint(255 * image.clip(0, 1)).astype(np.uint8)
    return levels.transpose(1, 2, 0)


def _view(eye: Eye, size: tuple[int, int]) -> View:
    """Place the retina: its margin varies, and it never extends beyond the sides."""
    width, height = size
    radius = min(eye.person.zoom * height, 0.98 * width) / 2
    x, y = ((side - 1) / 2 + shift * radius for side, shift in zip(size, eye.shift, strict=True))
    return View(size, (x, y), radius, mirrored=eye.is_left)


def _draw_retina(eye: Eye, view: View) -> Floats:
    """Paint the retina under even light, `(3, H, W)`."""
    x, y = view.coordinates()
    image = _channels(eye.person.pigment) * np.exp(sum(smooth_field(nodes, x.shape) for nodes in eye.texture))
    radius = np.hypot(x, y)
    _absorb(image, MACULA, np.exp(-((radius / 0.22) ** 2)) + 0.5 * np.exp(-((radius / 0.06) ** 2)))
    _paint(image, DRUSE, _cover(view, [eye.drusen]))
    _absorb(image, PIGMENT, _cover(view, [eye.naevi]))
    level = np.hypot(*((z - centre) / half for z, centre, half in zip((x, y), eye.disc, eye.disc_radii, strict=True)))
    _paint(image, DISC, _within(level, 1, 0.12))
    _paint(image, CUP, 0.8 * _within(level, eye.cup, 0.15))
    _absorb(image, ARTERIAL_BLOOD, view.render(eye.arteries))
    _absorb(image, VENOUS_BLOOD, view.render(eye.veins))
    _absorb(image, HAEMORRHAGE, view.render(join(eye.lesions["new vessels"])))
    _paint(image, COTTON, _cover(view, eye.lesions["cotton-wool spot"]))
    _paint(image, LIPID, _cover(view, eye.lesions["exudates"]))
    _absorb(image, HAEMORRHAGE, _cover(view, [dots for kind in BLOOD for dots in eye.lesions[kind]]))
    return image


def _paint(image: Floats, colour: Colour, cover: Floats) -> None:
    image += cover * (_channels(colour) - image)


def _absorb(image: Floats, absorption: Colour, density: Floats) -> None:
    image *= np.exp(-_channels(absorption) * density)


def _cover(view: View, dots: list[Dots]) -> Floats:
    """Return the fraction of light from these dots, below 1 however many overlap."""
    cover: Floats = 1 - np.exp(-1.5 * view.render(join(dots)))
    return cover


def _within(level: Floats, limit: float, softness: float) -> Floats:
    share: Floats = ((limit - level) / softness + 0.5).clip(0, 1)
    return share


def _channels(colour: Colour) -> Floats:
    return np.array(colour, dtype=np.float32).reshape(3, 1, 1)
