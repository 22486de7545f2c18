"""Reference statistics of the corruptions, from the libraries that the published generators use.

    pip install -r peers/requirements-corruptions.txt
    python peers/corruptions.py > test/fixtures/corruption-statistics.json

The structure follows https://github.com/hendrycks/robustness (Apache-2.0), re-implemented; see NOTICE.

The images are a formula of pixel coordinates, the same in `corruptions.test.ts`. Per corruption, family and severity:
- `statistics`: mean and standard deviation, over independent draws (one for corruptions that draw nothing), of figures of the whole image set;
- `pixels`: every STRIDE-th byte of the first image, drawn with the same random numbers as Limber, where the order of draws is plain.
Frost is absent: the originals blend photographs. Motion blur follows the formula of ImageMagick 6 (checked against the library once).
"""

import json
import math
from io import BytesIO

import cv2
import numpy as np
import skimage as sk
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.ndimage import zoom as scipy_zoom
from skimage.filters import gaussian

IMAGES, DRAWS, STRIDE, SEED = 4, 12, 101, 7
SIDES = {"cifar": 32, "imagenet": 64}
MASK = 0xFFFFFFFF


def picture(index, side):
    y, x, c = np.meshgrid(np.arange(side), np.arange(side), np.arange(3), indexing="ij")
    ramp = ((index + c + 1) * x * 256 + (2 * index - c + 2) * y * 256) // side % 512
    blocks = (x * 6 // side + y * 6 // side + index) % 2
    return (np.minimum(255, np.abs(ramp - 256)) * 3 // 4 + 60 * blocks).astype(np.uint8)


class Numpy:
    """Independent draws."""

    def __init__(self, seed):
        self.g = np.random.default_rng(seed)

    def uniform(self, low, high, shape=()):
        return self.g.uniform(low, high, shape)

    def normal(self, mean, deviation, shape):
        return self.g.normal(mean, deviation, shape)

    def integers(self, low, high, shape):
        return self.g.integers(low, high, shape)

    def poisson(self, rate):
        return self.g.poisson(rate)


class Limber:
    """The stream of src/base/random.ts: xoshiro128** seeded by splitmix32, Box-Muller normals."""

    def __init__(self, seed):
        self.s, state = [], seed & MASK
        for _ in range(4):
            state = (state + 0x9E3779B9) & MASK
            z = ((state ^ (state >> 16)) * 0x21F0AAAD) & MASK
            z = ((z ^ (z >> 15)) * 0x735A2D97) & MASK
            self.s.append(z ^ (z >> 15))
        self.spare = None

    def uint32(self):
        s = self.s
        rotl = lambda v, k: ((v << k) | (v >> (32 - k))) & MASK
        result = (rotl((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 9) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 11)
        return result

    def next(self):
        high = self.uint32()
        return (high * 2**21 + (self.uint32() >> 11)) / 2**53

    def standard(self):
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        radius = math.sqrt(-2 * math.log(1 - self.next()))
        angle = 2 * math.pi * self.next()
        self.spare = radius * math.sin(angle)
        return radius * math.cos(angle)

    def fill(self, shape, draw):
        return np.array([draw() for _ in range(math.prod(shape))]).reshape(shape)

    def uniform(self, low, high, shape=()):
        return self.fill(shape, lambda: low + (high - low) * self.next())

    def normal(self, mean, deviation, shape):
        return self.fill(shape, lambda: mean + deviation * self.standard())

    def integers(self, low, high, shape):
        return self.fill(shape, lambda: low + math.floor(self.next() * (high - low)))


def unit(x):
    return np.array(x) / 255.0


def zoomed(image, factor):
    side = image.shape[0]
    crop = int(np.ceil(side / factor))
    top = (side - crop) // 2
    large = scipy_zoom(image[top : top + crop, top : top + crop], (factor, factor, 1), order=1)
    trim = (large.shape[0] - side) // 2
    return large[trim : trim + side, trim : trim + side]


def motion(x, radius, sigma, angle):
    """ImageMagick 6 MotionBlurImage on bytes: nearest edge, rounded to 16 bits, truncated to 8."""
    width = 2 * math.ceil(radius) + 1
    kernel = np.exp(-(np.arange(width) ** 2) / (2.0 * sigma**2))
    kernel /= kernel.sum()
    sin, cos = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    h, w = x.shape[:2]
    total = np.zeros(x.shape)
    for i, weight in enumerate(kernel):
        rows = np.clip(np.arange(h) + math.ceil(i * sin - 0.5), 0, h - 1)
        columns = np.clip(np.arange(w) + math.ceil(i * cos - 0.5), 0, w - 1)
        total += weight * x[rows][:, columns]
    return (np.floor(total * 257 + 0.5) // 257).astype(np.uint8)


def plasma(side, decay, rng):
    grid, step, wibble = np.zeros((side, side)), side, 100.0
    while step >= 2:
        half = step // 2
        corners = grid[::step, ::step]
        total = corners + np.roll(corners, -1, 0)
        total = total + np.roll(total, -1, 1)
        grid[half::step, half::step] = total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)
        centres, corners = grid[half::step, half::step], grid[::step, ::step]
        horizontal = centres + np.roll(centres, 1, 0) + corners + np.roll(corners, -1, 1)
        vertical = centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 0)
        # Both midpoints of a cell are drawn together: independent draws, so any order gives the same distribution.
        offsets = wibble * rng.uniform(-wibble, wibble, (*horizontal.shape, 2))
        grid[::step, half::step] = horizontal / 4 + offsets[..., 0]
        grid[half::step, ::step] = vertical / 4 + offsets[..., 1]
        step, wibble = half, wibble / decay
    grid -= grid.min()
    return grid / grid.max()


def gaussian_noise(x, c, rng):
    return np.clip(unit(x) + rng.normal(0, c, x.shape), 0, 1) * 255


def shot_noise(x, c, rng):
    return np.clip(rng.poisson(unit(x) * c) / c, 0, 1) * 255


def impulse_noise(x, c, rng):
    return sk.util.random_noise(unit(x), mode="s&p", amount=c, rng=rng.g) * 255


def speckle_noise(x, c, rng):
    return np.clip(unit(x) + unit(x) * rng.normal(0, c, x.shape), 0, 1) * 255


def gaussian_blur(x, c, rng):
    return np.clip(gaussian(unit(x), sigma=c, channel_axis=-1), 0, 1) * 255


def glass_blur(x, c, rng):
    sigma, reach, rounds = c
    x = np.uint8(gaussian(unit(x), sigma=sigma, channel_axis=-1) * 255)
    side = x.shape[0]
    for _ in range(rounds):
        span = range(side - reach, reach, -1)
        offsets = rng.integers(-reach, reach, (len(span), len(span), 2))
        for h in span:
            for w in span:
                dy, dx = offsets[side - reach - h, side - reach - w]
                # The published exchange goes through views and writes one pixel twice.
                x[h, w], x[h + dy, w + dx] = x[h + dy, w + dx], x[h, w]
    return np.clip(gaussian(x / 255.0, sigma=sigma, channel_axis=-1), 0, 1) * 255


def defocus_blur(x, c, rng):
    radius, alias = c
    line = np.arange(-8, 9) if radius <= 8 else np.arange(-radius, radius + 1)
    xs, ys = np.meshgrid(line, line)
    disk = np.array(xs**2 + ys**2 <= radius**2, dtype=np.float32)
    disk /= disk.sum()
    disk = cv2.GaussianBlur(disk, ksize=(3, 3) if radius <= 8 else (5, 5), sigmaX=alias)
    return np.clip(np.stack([cv2.filter2D(unit(x)[..., k], -1, disk) for k in range(3)], -1), 0, 1) * 255


def motion_blur(x, c, rng):
    return motion(x, *c, float(rng.uniform(-45, 45)))


def zoom_blur(x, c, rng):
    x = unit(x).astype(np.float32)
    factors = np.arange(1, *c)
    total = np.zeros_like(x)
    for factor in factors:
        total += zoomed(x, factor)
    return np.clip((x + total) / (len(factors) + 1), 0, 1) * 255


def snow(x, c, rng):
    x = unit(x).astype(np.float32)
    layer = zoomed(rng.normal(c[0], c[1], x.shape[:2])[..., None], c[2]).squeeze()
    layer[layer < c[3]] = 0
    layer = motion((np.clip(layer, 0, 1) * 255).astype(np.uint8), c[4], c[5], float(rng.uniform(-135, -45)))[..., None] / 255.0
    white = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None] * 1.5 + 0.5
    return np.clip(c[6] * x + (1 - c[6]) * np.maximum(x, white) + layer + np.rot90(layer, k=2), 0, 1) * 255


def fog(x, c, rng):
    x = unit(x)
    side, brightest = x.shape[0], x.max()
    cloud = plasma(2 ** math.ceil(math.log2(side)), c[1], rng)[:side, :side, None]
    return np.clip((x + c[0] * cloud) * brightest / (brightest + c[0]), 0, 1) * 255


def spatter(x, c, rng):
    x = unit(x).astype(np.float32)
    liquid = gaussian(rng.normal(c[0], c[1], x.shape[:2]), sigma=c[2])
    liquid[liquid < c[3]] = 0
    if c[5] == 0:
        liquid = (liquid * 255).astype(np.uint8)
        distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
        distance = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
        distance = cv2.equalizeHist(distance)
        distance = cv2.filter2D(distance, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
        shine = liquid * cv2.blur(distance, (3, 3)).astype(np.float32)
        shine = shine / (shine.max() or 1) * c[4]
        return np.clip(x + shine[..., None] * np.array([175, 238, 238]) / 255, 0, 1) * 255
    cover = gaussian(np.where(liquid > c[3], 1, 0).astype(np.float32), sigma=c[4])
    cover[cover < 0.8] = 0
    cover = cover[..., None]
    return np.clip(x * (1 - cover) + np.array([63, 42, 20]) / 255 * cover, 0, 1) * 255


def contrast(x, c, rng):
    means = unit(x).mean(axis=(0, 1), keepdims=True)
    return np.clip((unit(x) - means) * c + means, 0, 1) * 255


def in_hsv(x, channel, change):
    hsv = sk.color.rgb2hsv(unit(x))
    hsv[..., channel] = np.clip(change(hsv[..., channel]), 0, 1)
    return np.clip(sk.color.hsv2rgb(hsv), 0, 1) * 255


def brightness(x, c, rng):
    return in_hsv(x, 2, lambda value: value + c)


def saturate(x, c, rng):
    return in_hsv(x, 1, lambda saturation: saturation * c[0] + c[1])


def jpeg_compression(x, c, rng):
    output = BytesIO()
    Image.fromarray(x).save(output, "JPEG", quality=c)
    return np.array(Image.open(output))


def pixelate(x, c, rng):
    side = x.shape[0]
    return np.array(Image.fromarray(x).resize((int(side * c),) * 2, Image.BOX).resize((side,) * 2, Image.BOX))


def elastic_transform(x, c, rng):
    amplitude, sigma, shift = c
    x = unit(x).astype(np.float32)
    shape = x.shape[:2]
    centre, arm = np.float32(shape) // 2, min(shape) // 3
    before = np.float32([centre + arm, [centre[0] + arm, centre[1] - arm], centre - arm])
    after = before + rng.uniform(-shift, shift, before.shape).astype(np.float32)
    matrix = cv2.getAffineTransform(before, after)
    x = cv2.warpAffine(x, matrix, shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
    bend = lambda: gaussian(rng.uniform(-1, 1, shape), sigma, mode="reflect", truncate=3) * amplitude
    dx, dy = bend()[..., None], bend()[..., None]
    columns, rows, channels = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]), np.arange(3))
    return np.clip(map_coordinates(x, (rows + dy, columns + dx, channels), order=1, mode="reflect"), 0, 1) * 255


def square_snow(x, c, rng):
    x, side = x.copy(), x.shape[0]
    edge = max(1, round(3 * side / 350))
    for left, top in rng.integers(0, side - edge + 1, (round(c * (3 / edge) ** 2 * (side / 350) ** 2), 2)):
        x[top : top + edge, left : left + edge] = 210
    return x


PARAMETERS = {
    gaussian_noise: ([0.04, 0.06, 0.08, 0.09, 0.10], [0.08, 0.12, 0.18, 0.26, 0.38]),
    shot_noise: ([500, 250, 100, 75, 50], [60, 25, 12, 5, 3]),
    impulse_noise: ([0.01, 0.02, 0.03, 0.05, 0.07], [0.03, 0.06, 0.09, 0.17, 0.27]),
    defocus_blur: ([(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)], [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)]),
    glass_blur: ([(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)], [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)]),
    motion_blur: ([(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)], [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)]),
    zoom_blur: ([(1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)], [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)]),
    snow: (
        [(0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)],
        [(0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7), (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)],
    ),
    fog: ([(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)], [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)]),
    brightness: ([0.05, 0.1, 0.15, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5]),
    contrast: ([0.75, 0.5, 0.4, 0.3, 0.15], [0.4, 0.3, 0.2, 0.1, 0.05]),
    elastic_transform: (
        [(32 * 0, 32 * 0, 32 * 0.08), (32 * 0.05, 32 * 0.2, 32 * 0.07), (32 * 0.08, 32 * 0.06, 32 * 0.06), (32 * 0.1, 32 * 0.04, 32 * 0.05), (32 * 0.1, 32 * 0.03, 32 * 0.03)],
        [(244 * 2, 244 * 0.7, 244 * 0.1), (244 * 2, 244 * 0.08, 244 * 0.2), (244 * 0.05, 244 * 0.01, 244 * 0.02), (244 * 0.07, 244 * 0.01, 244 * 0.02), (244 * 0.12, 244 * 0.01, 244 * 0.02)],
    ),
    pixelate: ([0.95, 0.9, 0.85, 0.75, 0.65], [0.6, 0.5, 0.4, 0.3, 0.25]),
    jpeg_compression: ([80, 65, 58, 50, 40], [25, 18, 15, 10, 7]),
    speckle_noise: ([0.06, 0.1, 0.12, 0.16, 0.2], [0.15, 0.2, 0.35, 0.45, 0.6]),
    gaussian_blur: ([0.4, 0.6, 0.7, 0.8, 1], [1, 2, 3, 4, 6]),
    spatter: (
        [(0.62, 0.1, 0.7, 0.7, 0.5, 0), (0.65, 0.1, 0.8, 0.7, 0.5, 0), (0.65, 0.3, 1, 0.69, 0.5, 0), (0.65, 0.1, 0.7, 0.69, 0.6, 1), (0.65, 0.1, 0.5, 0.68, 0.6, 1)],
        [(0.65, 0.3, 4, 0.69, 0.6, 0), (0.65, 0.3, 3, 0.68, 0.6, 0), (0.65, 0.3, 2, 0.68, 0.5, 0), (0.65, 0.3, 1, 0.65, 1.5, 1), (0.67, 0.4, 1, 0.65, 1.5, 1)],
    ),
    saturate: ([(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)], [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)]),
    square_snow: ([2000, 4000, 6000, 8000, 10000],) * 2,
}
FIXED = {defocus_blur, zoom_blur, brightness, contrast, pixelate, jpeg_compression, gaussian_blur, saturate}
OTHER_ORDER = {shot_noise, impulse_noise}  # Limber draws per value what numpy draws per array


def figures(images, clean):
    x = np.stack(images).astype(np.float64)
    red, green, blue = x.mean(axis=(0, 1, 2))
    return {
        "mean": x.mean(),
        "deviation": x.std(),
        "change": np.abs(x - clean).mean(),
        "gradient": (np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean()) / 2,
        "red": red,
        "green": green,
        "blue": blue,
    }


def main():
    rows = []
    for corruption, tables in PARAMETERS.items():
        for family, table in zip(SIDES, tables):
            clean = [picture(i, SIDES[family]) for i in range(IMAGES)]
            for severity, parameters in enumerate(table, 1):
                fixed = corruption in FIXED
                draws = []
                for draw in range(1 if fixed else DRAWS):
                    rng = Numpy([SEED, severity, draw])
                    draws.append(figures([np.uint8(corruption(x, parameters, rng)) for x in clean], np.stack(clean).astype(float)))
                row = {"name": corruption.__name__, "family": family, "severity": severity}
                row["statistics"] = {
                    key: [round(float(np.mean([d[key] for d in draws])), 4), round(float(np.std([d[key] for d in draws], ddof=0 if fixed else 1)), 4)]
                    for key in draws[0]
                }
                if corruption not in OTHER_ORDER:
                    row["pixels"] = np.uint8(corruption(clean[0], parameters, Limber(SEED))).ravel()[::STRIDE].tolist()
                rows.append(row)
    print(json.dumps({"images": IMAGES, "draws": DRAWS, "stride": STRIDE, "seed": SEED, "sides": SIDES, "rows": []})[:-3] + "[")
    print(",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]}")


main()
