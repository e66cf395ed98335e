import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from sslmed.core.errors import DataError
from sslmed.preparation.photograph import prepare_photo
from sslmed.preparation.readers.photographs import read_mask, read_photo
from sslmed.preparation.resize import resize
from sslmed.preparation.settings import PrepareSettings

ORIENTATION = 0x112  # EXIF tag
NOISE = np.random.default_rng(0).uniform(0, 255, (31, 45, 3))
PIXELS = ndimage.gaussian_filter(NOISE, (2, 2, 0)).astype(np.uint8)  # smooth: JPEG keeps it nearly
GREY = PIXELS[..., 0]
PHOTO = Image.fromarray(PIXELS)


def encode(image, image_format="PNG", **arguments):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **arguments)
    return buffer.getvalue()


def png(samples, depth, colour, *chunks, end=None):
    """Write PNG, some of which PIL does not write: samples `(H, W)` or `(H, W, channels)` of 8 or 16 bits."""
    height, width = samples.shape[:2]
    rows = samples.astype(f">u{depth // 8}").reshape(height, -1)
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))[:end]
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def palette_png(*chunks):
    return png(GREY % 4, 8, 3, (b"PLTE", bytes(range(12))), *chunks)


def declared(width, height):
    content = bytearray(encode(PHOTO))
    content[16:24] = struct.pack(">2I", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def with_alpha(alpha):
    image = PHOTO.copy()
    image.putalpha(alpha)
    return image


def grey(pixels):
    return np.stack([pixels] * 3, axis=-1)


JPEG = encode(PHOTO, "JPEG")
PNG = encode(PHOTO)
FRAMES = {"save_all": True, "append_images": [PHOTO.rotate(90)]}
WORDS = 40 * b"words "

RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040  # beyond 255, and up to the full range
SIGNED = Image.fromarray((GREY.astype(np.int16) - 100).view(np.uint16))

BAD_FILES = {
    "empty": ("a.png", b"", "is empty"),
    "text": ("a.png", WORDS, "is not a PNG, JPEG or TIFF image"),
    "GIF": ("a.png", encode(PHOTO, "GIF"), "is not a PNG, JPEG or TIFF image"),
    "TIFF": ("a.jpg", encode(PHOTO, "TIFF"), "holds a TIFF image, which its extension denies"),
    "JPEG named PNG": ("a.png", JPEG, "holds a JPEG image, which its extension denies"),
    "PNG named JPEG": ("a.jpeg", PNG, "holds a PNG image, which its extension denies"),
    "PNG with another extension": ("a.bmp", PNG, "holds a PNG image, which its extension denies"),
    "only a signature": ("a.png", PNG[:8], "damaged header, or is cut off within it"),
    "text after the signature": ("a.png", PNG[:8] + WORDS, "damaged"),
    "zeros from the middle": ("a.jpg", JPEG[:-300] + bytes(300), "is truncated or damaged"),
    "truncated among other chunks": ("a.png", png(PIXELS[:3, :3], 8, 2)[:-12], "damaged"),
    "animated PNG": ("a.png", encode(PHOTO, **FRAMES), "holds 2 images, as an animation does"),
    "two pages": ("a.tif", encode(PHOTO, "TIFF", **FRAMES), "holds 2 images"),
    "CMYK": ("a.jpg", encode(PHOTO.convert("CMYK"), "JPEG"), "holds CMYK colours"),
    "LAB": ("a.tif", encode(Image.new("LAB", (9, 9)), "TIFF"), "holds LAB colours; save it as RGB"),
    "16 bits with 0 as white": (
        "a.tif",
        encode(Image.fromarray(RAMP), "TIFF", tiffinfo={262: 0}),
        "says that 0 is white",
    ),
    "32 bits": ("a.tif", encode(Image.fromarray(GREY * np.int32(2**12)), "TIFF"), "not of 16 bits"),
    "negative values": ("a.tif", encode(Image.fromarray(GREY - np.int32(99)), "TIFF"), "not of 16 bits"),
    "huge": ("a.png", declared(100_000, 100_000), "pixels; reduce it"),
    "very large": ("a.png", declared(10_000, 10_000), "has more than 89478485 pixels"),
    "data ends early": ("a.png", png(PIXELS, 8, 2, end=-9), "is truncated or damaged"),
    "tiny": ("a.png", encode(PHOTO.crop((0, 0, 7, 20))), "has 7 x 20 pixels, fewer than 8"),
    "constant": ("a.png", encode(Image.new("RGB", (20, 20), (9, 8, 7))), "is constant (every pixel is (9, 8, 7))"),
    "8-bit grey in 16 bits": ("a.png", png(GREY, 16, 0), "16-bit values that are all below 16384 of 65536"),
    "12-bit grey in 16 bits": ("a.png", png(RAMP // 16, 16, 0), "as cameras of 12 bits give them; scale them to 65535"),
    "12-bit TIFF": ("a.tif", encode(Image.fromarray(RAMP // 16), "TIFF"), "as cameras of 12 bits give them"),
    "signed 16 bits": (
        "a.tif",
        encode(SIGNED, "TIFF", tiffinfo={339: 2}),
        f"holds values from {GREY.min() - 100.0:.0f} to",
    ),
    "8-bit colours in 16 bits": ("a.png", png(PIXELS, 16, 2), "save 8-bit values with 8 bits"),
    "8 bits with transparency in 16": ("a.png", png(np.stack([GREY, GREY], -1), 16, 4), "save 8-bit values with 8"),
    "constant 16 bits": ("a.png", png(np.full((20, 20), 25600), 16, 0), "is constant (every pixel is (100, 100, 100))"),
    "invisible": ("a.png", encode(with_alpha(0)), "is constant (every pixel is (0, 0, 0))"),
    "too large a text": ("a.png", png(PIXELS, 8, 2, (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21)))), "damaged"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(tmp_path, name):
    file, content, words = BAD_FILES[name]
    check_refused(tmp_path / file, content, words)


def check_refused(path, content, words):
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        prepare_photo(path, PrepareSettings(size=8))
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: ")
    assert words in line
    assert "\n" not in line


LABELS = Image.fromarray(GREY // 64)
BAD_MASKS = {
    "two pages": ("a.tif", encode(LABELS, "TIFF", save_all=True, append_images=[LABELS]), "holds 2 images"),
    "0 as white": ("a.tif", encode(LABELS, "TIFF", tiffinfo={262: 0}), "says that 0 is white"),
    "checksum": ("a.png", encode(LABELS, compress_level=0).replace(b"IEND", b"IENE"), "is truncated or damaged"),
    "text": ("a.png", WORDS, "is not a PNG, JPEG or TIFF image"),
}


@pytest.mark.parametrize("name", BAD_MASKS)
def test_bad_mask(tmp_path, name):
    file, content, words = BAD_MASKS[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=f"{file}: {words}"):
        read_mask(tmp_path / file, GREY.shape)


def test_a_mask_of_one_bit_is_read_whichever_colour_is_zero(tmp_path):
    """White is what is marked: written by PIL, and by hand as TIFF 6.0 says, 8 x 8 pixels with a white first column."""
    for colour, row in ((0, 0b01111111), (1, 0b10000000)):
        entries = {256: 8, 257: 8, 258: 1, 259: 1, 262: colour, 273: 8 + 2 + 12 * 9 + 4, 277: 1, 278: 8, 279: 8}
        fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
        header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
        (tmp_path / "hand.tif").write_bytes(header + fields + bytes(4) + bytes([row] * 8))
        np.testing.assert_array_equal(read_mask(tmp_path / "hand.tif", (8, 8)), [[1, *[0] * 7]] * 8)
    marked = GREY > 100
    for colour in (0, 1):
        path = tmp_path / f"{colour}.tif"
        Image.fromarray(marked).save(path, compression="group4", tiffinfo={262: colour})
        np.testing.assert_array_equal(read_mask(path, GREY.shape), marked)


def test_the_first_of_a_cameras_pictures_is_the_photograph(tmp_path):
    """Telephones and stereo cameras write MPO: a JPEG file with a preview, or a second view, behind the photograph."""
    path = tmp_path / "a.JPG"
    path.write_bytes(encode(PHOTO, "MPO", save_all=True, append_images=[PHOTO.resize((12, 9))]))
    with Image.open(path) as image:
        assert image.n_frames == 2
    (tmp_path / "b.jpg").write_bytes(JPEG)
    np.testing.assert_array_equal(read_photo(path), read_photo(tmp_path / "b.jpg"))


def test_unreadable(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_photo(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "spare"),
    [
        ("a.png", PNG, 4),  # the last 4 bytes are the checksum of an empty chunk
        ("a.jpg", JPEG, 0),
        ("a.jpg", encode(PHOTO, "JPEG", progressive=True), 0),
    ],
)
def test_truncated_anywhere(tmp_path, file, content, spare):
    for length in range(1, len(content) - spare, 17):
        check_refused(tmp_path / file, content[:length], "")
    check_refused(tmp_path / file, content[: len(content) - spare - 1], "is truncated or damaged")


def test_any_damage_within_a_png_is_refused(tmp_path):
    for place in range(0, len(PNG) - 12, 17):
        check_refused(tmp_path / "a.png", PNG[:place] + bytes([PNG[place] ^ 4]) + PNG[place + 1 :], "")


DARK = np.where(RAMP.max() == RAMP, 2**14, RAMP % 256)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1)
KEY = PIXELS[5, 6]
NOT_KEY = (PIXELS != KEY).any(axis=-1, keepdims=True)
ALPHA = np.where(np.indices(GREY.shape).sum(0) % 2, 255, 0).astype(np.uint8)
PALETTE = np.arange(12, dtype=np.uint8).reshape(4, 3)[GREY % 4]
OPAQUE = np.isin(GREY % 4, [1, 2])[..., None]
ONE_FRAME = (b"acTL", struct.pack(">2I", 1, 0)), (b"fcTL", struct.pack(">5I2H2B", 0, 45, 31, 0, 0, 1, 1, 0, 0))

ACCEPTED = {
    "RGB": ("a.png", PNG, PIXELS),
    "upper case": ("a.PNG", PNG, PIXELS),
    "grey": ("a.png", encode(PHOTO.getchannel(0)), grey(GREY)),
    "two colours": ("a.png", encode(Image.fromarray(GREY > 127)), grey(255 * (GREY > 127))),
    "16-bit grey": ("a.png", png(RAMP, 16, 0), grey(RAMP // 256)),
    "16-bit grey, one of them transparent": ("a.png", png(RAMP, 16, 0, (b"tRNS", b"\1\1")), grey(RAMP // 256)),
    "16-bit RGB": ("a.png", png(COLOURS, 16, 2), COLOURS // 256),
    "palette": ("a.png", palette_png(), PALETTE),
    "palette, transparent": ("a.png", palette_png((b"tRNS", b"\0\xff\xff\0")), PALETTE * OPAQUE),
    "one colour transparent": ("a.png", png(PIXELS, 8, 2, (b"tRNS", struct.pack(">3H", *KEY))), PIXELS * NOT_KEY),
    "16-bit grey, one value that is bright": ("a.png", png(DARK, 16, 0), grey(DARK // 256)),
    "opaque": ("a.png", encode(with_alpha(255)), PIXELS),
    "transparent in places": ("a.png", encode(with_alpha(Image.fromarray(ALPHA))), PIXELS * (ALPHA > 0)[..., None]),
    "half transparent": ("a.png", encode(with_alpha(128)), PIXELS * (128 / 255)),
    "grey, half transparent": ("a.png", png(np.stack([GREY, GREY // 2], -1), 8, 4), grey(GREY * (GREY // 2 / 255))),
    "trailing bytes": ("a.png", PNG + b"\0trailer", PIXELS),
    "one frame of an animation": ("a.png", png(PIXELS, 8, 2, *ONE_FRAME), PIXELS),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_png(tmp_path, name):
    file, content, expected = ACCEPTED[name]
    (tmp_path / file).write_bytes(content)
    photo = read_photo(tmp_path / file)
    assert photo.dtype == np.uint8
    # PIL rounds transparency to a grey level, and 16 bits up or down.
    np.testing.assert_allclose(photo, expected, atol=1.01 if "half" in name or "16" in name else 0)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
@pytest.mark.parametrize("progressive", [False, True])
def test_accepted_jpeg(tmp_path, suffix, progressive):
    path = tmp_path / f"ä{suffix}"
    PHOTO.save(path, "JPEG", quality=95, subsampling=0, progressive=progressive, exif=b"Exif\0\0damaged")
    assert abs(read_photo(path) - PIXELS.astype(float)).mean() < 3
    PHOTO.getchannel(0).save(path, "JPEG", quality=95)
    assert abs(read_photo(path) - grey(GREY).astype(float)).mean() < 3


TURNS = {  # EXIF orientation: how it is to be looked at
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
    99: lambda pixels: pixels,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_rotation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "a.png"
    for image, expected in ((PHOTO, PIXELS), (Image.fromarray(GREY * np.uint16(256)), grey(GREY))):
        image.save(path, exif=exif)
        np.testing.assert_array_equal(read_photo(path), TURNS[orientation](expected))
    mask = GREY // 8
    Image.fromarray(mask).save(path, exif=exif)
    turned = TURNS[orientation](mask)
    np.testing.assert_array_equal(read_mask(path, turned.shape), turned)
    PHOTO.save(tmp_path / "a.jpg", quality=95, exif=exif)
    assert abs(read_photo(tmp_path / "a.jpg") - TURNS[orientation](PIXELS).astype(float)).mean() < 5


def prepare(folder, pixels, size=32, **settings):
    Image.fromarray(pixels).save(folder / "photo.png")
    image, _ = prepare_photo(folder / "photo.png", PrepareSettings(size=size, photo="fundus", **settings))
    return image


def disc(shape, centre, radius, colour=(200, 90, 30)):
    """A uint8 photograph `(H, W, 3)` of a disc in black; `centre` is of a pixel's middle."""
    rows, columns = np.indices(shape)
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    return inside[..., None] * np.uint8(colour)


@st.composite
def discs(draw):
    """A disc whose centre lies within a photograph of any aspect, and that may be cut off at its sides."""
    shape = draw(st.tuples(st.integers(40, 160), st.integers(40, 160)))
    centre = tuple(draw(st.floats(0.3, 0.7)) * side for side in shape)
    return shape, centre, draw(st.floats(12, 0.6 * min(shape)))


@settings(max_examples=40)
@given(
    discs(),
    st.sampled_from([(200, 90, 30), (40, 20, 10), (200, 0, 0), (0, 200, 0), (0, 0, 200)]),
    st.sampled_from([24, 40, 65]),
)
@example(((100, 160), (50.0, 80.0), 70.0), (200, 90, 30), 40)  # cut off above and below
@example(((2100, 3000), (1000.0, 1500.0), 900.0), (200, 90, 30), 65)
def test_a_disc_comes_out_centred_and_round(tmp_path_factory, drawn, colour, size):
    shape, centre, radius = drawn
    photo = disc(shape, centre, radius, colour)
    prepared = prepare(tmp_path_factory.mktemp("disc"), photo, size)
    boxes = [np.flatnonzero(photo.any(axis=(2, other))) for other in (1, 0)]
    side = max(np.ptp(box) + 1 for box in boxes)
    scale = side / size
    # Where the middles of the prepared pixels lie in the photograph, if the box's centre is the square's.
    rows, columns = ((np.arange(size) + 0.5 - size / 2) * scale + box[[0, -1]].mean() for box in boxes)
    distance = np.hypot(rows[:, None] - centre[0], columns - centre[1]) - radius
    beyond = [np.maximum(-0.5 - at, at - (length - 0.5)) for at, length in zip((rows, columns), shape, strict=True)]
    distance = np.maximum(distance, np.maximum(beyond[0][:, None], beyond[1]))
    tolerance = 1.1 * scale + 1.5 + 0.005 * min(shape)  # the filter's, of rounding, and of looking coarsely
    np.testing.assert_allclose(prepared[:, distance > tolerance], 0)
    inside = prepared[:, distance < -tolerance]
    np.testing.assert_allclose(inside, np.broadcast_to(np.reshape(colour, (3, 1)) / 255, inside.shape), atol=0.002)


@pytest.mark.parametrize(("shape", "size"), [((31, 45), 16), ((45, 31), 70), ((9, 64), 11)])
def test_a_photograph_without_surroundings_is_padded_to_a_square_and_resized(tmp_path, shape, size):
    photo = np.random.default_rng(0).integers(30, 256, (*shape, 3), dtype=np.uint8)
    side = max(shape)
    square = np.zeros((3, side, side), np.float32)
    top, left = ((side - length) // 2 for length in shape)
    square[:, top : top + shape[0], left : left + shape[1]] = np.moveaxis(photo, -1, 0)
    expected = resize(square, (size, size)) / 255  # as volumes are
    prepared = prepare(tmp_path, photo, size)
    assert (prepared.dtype, prepared.shape, prepared.flags.c_contiguous) == (np.float16, (3, size, size), True)
    np.testing.assert_allclose(prepared, expected, atol=1.3 / 255)  # a grey level, and float16


def test_hot_pixels_text_and_a_dim_surround_do_not_move_the_crop(tmp_path):
    photo = disc((150, 200), (75, 100), 50)
    expected = prepare(tmp_path, photo)
    photo[photo.max(axis=-1) == 0] = 8  # below 0.05
    photo[[3, 140, 70], [5, 190, 2]] = 255
    photo[5:8, 150:156] = photo[5:8, 160:166] = 255
    np.testing.assert_allclose(prepare(tmp_path, photo), expected, atol=9 / 255)
    assert abs(prepare(tmp_path, photo, foreground=0.03).astype(float) - expected).max() > 0.5


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_text_beside_the_retina_leaves_no_trace(tmp_path, factor, suffix):
    photo = Image.fromarray(disc((512 * factor, 640 * factor), (256 * factor, 320 * factor), 250 * factor))
    path = tmp_path / f"photo.{suffix}"
    photo.save(path)
    expected = prepare_photo(path, PrepareSettings(size=224, photo="fundus"))[0]
    font = ImageFont.load_default(12 * factor)  # with smooth edges
    ImageDraw.Draw(photo).text((72 * factor, 10 * factor), "2026-10-31 L", "white", font)
    photo.putpixel((490 * factor, 60 * factor), (255, 255, 255))  # a hot pixel
    photo.save(path)
    np.testing.assert_array_equal(prepare_photo(path, PrepareSettings(size=224, photo="fundus"))[0], expected)


def test_what_is_bright_within_the_retina_or_connected_to_it_is_kept(tmp_path):
    photo = disc((512, 512), (256, 256), 250)
    photo[200:260, 200:260] = 0  # a dark bleeding
    photo[220:226, 220:226] = 255  # something bright in it
    photo[250:262, 2:8] = (200, 90, 30)  # a notch that touches the edge
    expected = np.moveaxis(photo[4:509, 2:507], -1, 0) / 255
    photo[10, 10] = photo[500, 490:500] = 255  # beside it, and within the crop
    np.testing.assert_allclose(prepare(tmp_path, photo, 505), expected, atol=1e-3)


def test_two_parts_of_a_retina_are_both_kept(tmp_path):
    photo = disc((100, 100), (50, 50), 40)
    photo[:, 20:25] = 0  # a dark fold parts a tenth
    np.testing.assert_array_equal(prepare(tmp_path, photo)[0, 16, [0, 2, 5, 8]] > 0.5, [True, True, False, True])


@pytest.mark.parametrize("foreground", [0.05, 0.5])
def test_no_retina(tmp_path, foreground):
    pixels = np.full((100, 100, 3), int(255 * foreground), np.uint8)
    pixels[::12, ::12] = 255  # hot pixels
    with pytest.raises(
        DataError, match=rf"photo\.png: shows no retina: less than 1% of it is brighter than {foreground}"
    ):
        prepare(tmp_path, pixels, foreground=foreground)
