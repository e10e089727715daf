"""SSIMULACRA2: how much a compressed picture still looks like its original to people.

100 is the same picture, 90 hardly to be told apart, 80 very high quality, 70 high, 50 medium. The metric
with its constants and weights is Jon Sneyers' in libjxl (https://github.com/cloudinary/ssimulacra2, version
2.1). It is made of libvips operations here, since the packages that have it bring more than a hundred
megabytes with them.
"""

from __future__ import annotations

import math

from pyvips import Image

SCALES = 6
#: A scale that is smaller than this on a side says nothing.
_SMALLEST = 8
_C2 = 0.0009
_BIAS = 0.0037930732552754493
#: Linear RGB to the responses of the eye's cones.
_CONES = [
    [0.30, 0.622, 0.078],
    [0.23, 0.692, 0.078],
    [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
]
#: Cube roots of these to X (red against green), Y (brightness) and B - Y, all made positive.
_XYB = [[7.0, -7.0, 0.0], [0.5, 0.5, 0.0], [-0.5, -0.5, 1.0]]
_XYB_OFFSETS = [0.42, 0.01, 0.55]
_SIGMA = 1.5
_RADIUS = 5
#: For X, Y and B, for each scale, for the mean and then the 4-norm: structure, new edges, lost edges.
_WEIGHTS = (
    (
        (0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0),
        (0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
        (0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0),
        (0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0),
        (
            0.0007289346991508072,
            0.9677937080626833,
            0.0,
            0.00014003424285435884,
            0.9981766977854967,
            0.00031949755934435053,
        ),
        (0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0),
    ),
    (
        (0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262),
        (0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264),
        (225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
        (176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
        (0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    (
        (0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0),
        (0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0),
        (
            95.1080498811086,
            0.9863978034400682,
            0.9834382792465353,
            0.0012286405048278493,
            171.2667255897307,
            0.9807858872435379,
        ),
        (0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537),
    ),
)


def score(original: Image, compressed: Image) -> float:
    """Compare two sRGB pictures of 8 bits and the same size, without transparency; 100 and below."""
    first, second = _linear(original), _linear(compressed)
    total = 0.0
    for scale in range(SCALES):
        if min(first.width, first.height) < _SMALLEST:
            break
        for weights, terms in zip(_WEIGHTS, _terms(_positive_xyb(first), _positive_xyb(second)), strict=True):
            total += sum(weight * term for weight, term in zip(weights[scale], terms, strict=True))
        first, second = first.shrink(2, 2).copy_memory(), second.shrink(2, 2).copy_memory()
    return _scaled(total)


def _scaled(total: float) -> float:
    """Bring the weighted sum to the scale on which people judged pictures."""
    error = 0.9562382616834844 * total
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return float(100 - 10 * error**0.6276336467831387) if error > 0 else 100.0


def _linear(picture: Image) -> Image:
    levels = [level / 255 for level in range(256)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
    return picture.maplut(Image.new_from_array([linear]).cast("float")).copy_memory()


def _positive_xyb(linear: Image) -> Image:
    cones = linear.recomb(Image.new_from_array(_CONES)) + _BIAS
    roots = cones ** (1 / 3) - math.cbrt(_BIAS)
    return (roots.recomb(Image.new_from_array(_XYB)) + _XYB_OFFSETS).cast("float").copy_memory()


def _terms(first: Image, second: Image) -> list[tuple[float, ...]]:
    """Return the six terms for each of X, Y and B at one scale, in the order of the weights."""
    mean1, mean2 = _blur(first), _blur(second)
    structure = _norms(_structure(first, second, mean1, mean2))
    edges = (1 + (second - mean2).abs()) / (1 + (first - mean1).abs()) - 1
    new, lost = _norms(_above_zero(edges)), _norms(_above_zero(-edges))
    return [
        tuple(each[band][norm] for norm in (0, 1) for each in (structure, new, lost)) for band in range(3)
    ]


def _structure(first: Image, second: Image, mean1: Image, mean2: Image) -> Image:
    """Return how much the local structure differs: SSIM without its weight on darkness."""
    products = mean1 * mean2
    covariance = _blur(first * second) - products
    variances = (_blur(first * first) - mean1 * mean1) + (_blur(second * second) - mean2 * mean2)
    luma = 1 - (mean1 - mean2) ** 2
    return _above_zero(1 - luma * (2 * covariance + _C2) / (variances + _C2))


def _norms(picture: Image) -> list[tuple[float, float]]:
    """Return each band's mean and 4-norm."""
    kept = picture.copy_memory()
    fourth = (kept * kept) ** 2
    return [(kept[band].avg(), fourth[band].avg() ** 0.25) for band in range(3)]


def _above_zero(picture: Image) -> Image:
    return (picture > 0).ifthenelse(picture, 0)


def _blur(picture: Image) -> Image:
    bell = [math.exp(-(offset**2) / (2 * _SIGMA**2)) for offset in range(-_RADIUS, _RADIUS + 1)]
    mask = Image.new_from_array([[value / sum(bell) for value in bell]])
    width, height = picture.width, picture.height
    # Outside of the picture everything counts as 0, as it does in the original.
    framed = picture.embed(_RADIUS, _RADIUS, width + 2 * _RADIUS, height + 2 * _RADIUS)
    return framed.convsep(mask, precision="float").crop(_RADIUS, _RADIUS, width, height).copy_memory()
