"""The sheet that is painted on: an SVG of shapes, one over the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from hub.storage.codec.painter.colours import Colour

Point = tuple[float, float]
Stop = tuple[float, Colour, float]  # where (0 to 1), colour, opacity
_FADING: Final = ((0.0, 1.0), (0.2, 0.72), (0.45, 0.32), (0.7, 0.09), (1.0, 0.0))  # without a visible rim
_HEAD: Final = '<svg xmlns="http://www.w3.org/2000/svg" '


class Sheet:
    """An SVG that grows; every number in it is ours, and no word of anybody is in it."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._paints: dict[tuple[str, str], str] = {}
        self._shapes: list[str] = []

    def add(self, shape: str) -> None:
        """Put a piece of SVG of our own on top."""
        self._shapes.append(shape)

    @contextmanager
    def moved(self, how: str) -> Iterator[None]:
        """Put what is painted meanwhile elsewhere, as SVG's ``transform`` says."""
        self.add(f'<g transform="{how}">')
        yield
        self.add("</g>")

    def path(self, way: str, fill: Colour | str, *, opacity: float = 1.0) -> None:
        """Fill an outline, given as SVG's path."""
        self.add(f'<path d="{way}" fill="{_fill(fill)}"{_see_through(opacity)}/>')

    def line(self, way: str, stroke: Colour, width: float, *, opacity: float = 1.0) -> None:
        """Draw along a path with a round pen."""
        self.add(
            f'<path d="{way}" fill="none" stroke="{stroke.css}" stroke-width="{width:.2f}" '
            f'stroke-linecap="round" stroke-linejoin="round"{_see_through(opacity, "stroke")}/>'
        )

    def polygon(self, points: Iterable[Point], fill: Colour | str, *, opacity: float = 1.0) -> None:
        """Fill what straight lines enclose."""
        self.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z", fill, opacity=opacity)

    def rect(
        self, corner: Point, size: Point, fill: Colour | str, *, radius: float = 0.0, opacity: float = 1.0
    ) -> None:
        """Fill a rectangle, from its upper left corner."""
        self.add(
            f'<rect x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" '
            f'rx="{radius:.1f}" fill="{_fill(fill)}"{_see_through(opacity)}/>'
        )

    def oval(
        self, middle: Point, radius: float, fill: Colour | str, *, tall: float = 1.0, opacity: float = 1.0
    ) -> None:
        """Fill a circle, or an ellipse that is ``tall`` times as high as wide."""
        self.add(
            f'<ellipse cx="{middle[0]:.2f}" cy="{middle[1]:.2f}" rx="{radius:.2f}" ry="{radius * tall:.2f}" '
            f'fill="{_fill(fill)}"{_see_through(opacity)}/>'
        )

    def glow(
        self, middle: Point, radius: float, light: Colour, *, strength: float, tall: float = 1.0
    ) -> None:
        """Put a light there that fades towards its rim."""
        fade = [(at, light, strength * share) for at, share in _FADING]
        self.oval(middle, radius, self.round_fade(fade), tall=tall)

    def down_fade(self, stops: Iterable[Stop], *, sideways: float = 0.0) -> str:
        """Return a paint that changes from top to bottom, and from left to right where ``sideways`` is 1."""
        ends = f'x1="0" y1="0" x2="{sideways:.2f}" y2="{1 - sideways:.2f}"'
        return self._paint("linearGradient", ends, stops)

    def round_fade(self, stops: Iterable[Stop]) -> str:
        """Return a paint that changes from the middle to the rim."""
        return self._paint("radialGradient", "", stops)

    def text(self) -> str:
        """Return the SVG."""
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        paints = "".join(
            f'<{kind} id="{name}" {rest}</{kind}>' for (kind, rest), name in self._paints.items()
        )
        return f"{_HEAD}{size}><defs>{paints}</defs>{''.join(self._shapes)}</svg>"

    def _paint(self, kind: str, ends: str, stops: Iterable[Stop]) -> str:
        inner = "".join(
            f'<stop offset="{at:.3f}" stop-color="{colour.css}" stop-opacity="{opacity:.3f}"/>'
            for at, colour, opacity in stops
        )
        name = self._paints.setdefault((kind, f"{ends}>{inner}"), f"p{len(self._paints)}")
        return f"url(#{name})"


def _fill(fill: Colour | str) -> str:
    return fill if isinstance(fill, str) else fill.css


def _see_through(opacity: float, what: str = "fill") -> str:
    # Not "opacity", for which each shape would be drawn on a sheet of its own: four times as slow.
    return "" if opacity >= 1 else f' {what}-opacity="{max(0.0, opacity):.3f}"'
