"""A picture's bytes come out right whatever the file: against pillow's own operations and formulas written again."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from legato.data import decode
from legato.data.decode import fit, read_image, read_size, with_channels
from legato.errors import DataError
from tests.data.drawn import noise, smooth

MIRRORS = {  # what a camera did to the scene, undone by ImageOps.exif_transpose; here by numpy, from the Exif standard
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


def encoded(array: np.ndarray | Image.Image, format: str, **how: object) -> bytes:
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    file = BytesIO()
    image.save(file, format, **how)
    return file.getvalue()


def hwc(data: bytes, channels: int = 3, **how: object) -> np.ndarray:
    return read_image(data, channels, **how).permute(1, 2, 0).numpy()


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request, monkeypatch):
    """Each test runs with the fast decoder, and without it."""
    if request.param == "pillow":
        monkeypatch.setattr(decode, "simplejpeg", None)
    else:
        pytest.importorskip("simplejpeg")
    return request.param


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_byte(format):
    pixels = noise(0, 9, 7)
    assert np.array_equal(hwc(encoded(pixels, format)), pixels)
    grey = noise(1, 9, 7, channels=1)
    assert np.array_equal(hwc(encoded(grey, format), 1)[..., 0], grey)
    assert np.array_equal(hwc(encoded(grey, format)), np.repeat(grey[..., None], 3, 2))


def test_palette_and_gif_come_out_in_their_colours():
    image = Image.fromarray(noise(0, 9, 7)).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(hwc(encoded(image, "PNG")), expected)
    assert np.array_equal(hwc(encoded(image, "GIF")), expected)


def test_one_bit_is_black_and_white():
    bits = np.array([[True, False, True], [False, False, True]])
    assert np.array_equal(hwc(encoded(Image.fromarray(bits), "PNG"), 1)[..., 0], bits * 255)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(format):
    values = np.array([[0, 1, 255, 256, 32767], [32768, 40000, 65000, 65407, 65535]], np.uint16)
    expected = np.round(values / 65535 * 255)
    assert np.array_equal(hwc(encoded(Image.fromarray(values), format), 1)[..., 0], expected)


def test_transparency_lies_over_white():
    colour, alpha = noise(0, 6, 6).astype(float), noise(1, 6, 6, 1).astype(float)
    data = encoded(np.dstack([colour, alpha]).astype(np.uint8), "PNG")
    expected = colour * alpha[..., None] / 255 + 255 - alpha[..., None]
    assert np.abs(hwc(data) - expected).max() <= 1
    grey = encoded(Image.fromarray(np.dstack([colour[..., 0], alpha]).astype(np.uint8), "LA"), "PNG")
    assert np.abs(hwc(grey, 1)[..., 0] - expected[..., 0]).max() <= 1


def test_transparent_palette_entry_is_white():
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([200, 10, 10, 10, 10, 200])
    data = encoded(image, "PNG", transparency=0)
    assert hwc(data).tolist() == [[[255] * 3, [10, 10, 200]], [[10, 10, 200], [255] * 3]]


def test_cmyk_becomes_rgb(decoder):
    image = Image.fromarray(smooth(32, 40)).convert("CMYK")
    expected = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(hwc(encoded(image, "JPEG", quality=95)) - expected).mean() < 3
    assert np.array_equal(hwc(encoded(image, "TIFF")), expected)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied(turn, decoder):
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = smooth(24, 40)
    upright = MIRRORS[turn](stored).astype(int)
    for format, how in (("JPEG", {"quality": 95}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        data = encoded(stored, format, exif=exif, **how)
        found = hwc(data)
        assert found.shape == upright.shape
        assert np.abs(found - upright).mean() < 2, format
        assert read_size(data) == (*upright.shape[:2], 3)
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data)))).shape, found.shape)


def test_simplejpeg_and_pillow_agree():
    pytest.importorskip("simplejpeg")
    for seed, (height, width) in enumerate([(32, 32), (33, 47), (120, 90)]):
        data = encoded(smooth(height, width) // 2 + noise(seed, height, width) // 8, "JPEG", quality=90)
        for channels in (1, 3):
            fast = read_image(data, channels).int()
            decode_without = decode.simplejpeg
            decode.simplejpeg = None
            try:
                slow = read_image(data, channels).int()
            finally:
                decode.simplejpeg = decode_without
            assert (fast - slow).abs().max() <= 1


def test_a_large_jpeg_is_decoded_to_fewer_pixels_but_no_fewer_than_asked(decoder):
    data = encoded(smooth(400, 640), "JPEG", quality=95)
    found = read_image(data, at_least=(100, 100))
    assert 100 <= found.shape[1] <= 200
    assert found.shape[2] / found.shape[1] == pytest.approx(1.6, rel=0.02)
    whole = fit(read_image(data), 64, "stretch").int()
    assert (fit(found, 64, "stretch").int() - whole).abs().max() <= 4
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_image(encoded(smooth(400, 640), "JPEG", exif=exif), at_least=(300, 100))
    assert turned.shape[1] >= 300
    assert turned.shape[2] >= 100


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("P", 3), ("CMYK", 3), ("1", 1)])
def test_size_is_read_from_the_header_alone(mode, channels):
    data = encoded(Image.fromarray(noise(0, 30, 50)).convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    assert read_size(data) == (30, 50, channels)
    if mode == "RGB":
        assert read_size(data[:100]) == (30, 50, 3)


def test_the_cap_is_read_from_the_header_before_anything_is_decoded():
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    with pytest.raises(DataError, match="LEGATO_MAX_PIXELS"):
        read_image(bomb)
    small = encoded(noise(0, 40, 50), "JPEG")
    with pytest.raises(DataError, match=r"40 × 50 .* more than 1,999"):
        read_image(small, largest=1_999)
    assert read_image(small, largest=2_000).shape == (3, 40, 50)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_cut_short_is_one_line_that_says_so(format, kept, decoder, tmp_path):
    data = encoded(noise(0, 60, 60), format)
    path = tmp_path / f"cut.{format.lower()}"
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_pixels_no_eight_bits_can_hold_are_refused():
    for array in (np.full((2, 2), 70_000, np.int32), np.full((2, 2), 0.5, np.float32)):
        with pytest.raises(DataError, match="8 or 16 bits"):
            read_image(encoded(Image.fromarray(array), "TIFF"))


@pytest.mark.parametrize("size", [20, 33, 64])
def test_fit_crops_as_pillow_resizes_and_crops(size):
    pixels = noise(0, 60, 90)
    image = Image.fromarray(pixels)
    resized = image.resize((round(size * 1.5), size), Image.Resampling.BILINEAR)
    left = (resized.width - size) // 2
    expected = np.asarray(resized).astype(int)[:, left : left + size]
    found = fit(torch.from_numpy(pixels).permute(2, 0, 1), size)
    assert np.abs(found.permute(1, 2, 0).numpy() - expected).max() <= 1


def test_fit_stretches_pads_and_leaves_alone():
    white = torch.full((3, 10, 20), 255, dtype=torch.uint8)
    padded = fit(white, 20, "pad")
    assert (padded[:, 5:15] == 255).all()
    assert padded.sum() == 255 * 3 * 200
    assert (fit(white, 8, "stretch") == 255).all()
    assert fit(white, 16, "pad").shape == (3, 16, 16)
    square = torch.zeros(1, 7, 7, dtype=torch.uint8)
    assert fit(square, 7) is square
    batch = torch.from_numpy(np.stack([noise(k, 12, 9) for k in range(3)])).permute(0, 3, 1, 2)
    assert torch.equal(fit(batch, 6), torch.stack([fit(one, 6) for one in batch]))


def test_grey_is_pillows_luma():
    pixels = noise(0, 50, 50)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    assert np.array_equal(with_channels(tensor, 1)[0].numpy(), expected)
    assert torch.equal(with_channels(tensor[:1], 3), tensor[:1].repeat(3, 1, 1))
    assert with_channels(torch.stack([tensor, tensor]), 1).shape == (2, 1, 50, 50)
