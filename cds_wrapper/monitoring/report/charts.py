"""Charts as SVG that stands in the page: made by Altair, drawn by vl-convert without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import vl_convert

_WIDTH: Final = 480
_ROW: Final = 26
_PADDING: Final = {"left": 40, "right": 10, "top": 5, "bottom": 5}
_COLOURS: Final = {"shown": "#0b6e5f", "falls_short": "#a3230f", "not_known": "#5a6472"}
_SHAPES: Final = {"shown": "circle", "falls_short": "triangle-up", "not_known": "diamond"}
_NAMES: Final = {"shown": "shown to work here", "falls_short": "falls short here", "not_known": "not known"}


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a chart: a name, a figure and its limits, and the answer for that group."""

    name: str
    value: float
    low: float
    high: float
    verdict: str


def intervals(points: Sequence[Point], axis: str, band: tuple[float, float], around: float) -> str:
    """A point with its limits for each group, on a scale of ratios; the band is what is read as the same."""
    rows = [{"name": p.name, "v": p.value, "l": p.low, "h": p.high, "a": _NAMES[p.verdict]} for p in points]
    low = min(0.5, *(p.low for p in points if p.low > 0))
    high = max(2.0, *(1.05 * p.high for p in points))
    scale = alt.Scale(type="log", domain=[max(low, 0.1), min(high, 10)], clamp=True, nice=False)
    ticks = [t for t in (0.1, 0.25, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10) if low <= t <= high]
    x = alt.X("l:Q", scale=scale, title=axis, axis=alt.Axis(values=ticks, format="~g", grid=False))
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=330, ticks=False, domain=False))
    data = alt.Data(values=rows)
    limits = alt.Data(values=[{"l": band[0], "h": band[1], "v": around}])
    shade = alt.Chart(limits).mark_rect(color="#e3e9ee").encode(x=x, x2="h:Q")
    line = alt.Chart(limits).mark_rule(color="#33404f", strokeDash=[4, 3]).encode(x=alt.X("v:Q", scale=scale))
    answer = _by_answer({p.verdict for p in points})
    bars = alt.Chart(data).mark_rule(strokeWidth=2).encode(x=x, x2="h:Q", y=y, color=answer["color"])
    dots = alt.Chart(data).mark_point(size=80, filled=True, opacity=1)
    dots = dots.encode(x=alt.X("v:Q", scale=scale), y=y, **answer)
    return _svg((shade + line + bars + dots).properties(width=_WIDTH, height=max(1, len(rows)) * _ROW))


def _by_answer(present: set[str]) -> dict[str, Any]:
    """Colour and shape by answer: neither is needed alone."""
    kinds = [kind for kind in _NAMES if kind in present]
    names = [_NAMES[kind] for kind in kinds]
    legend = alt.Legend(title=None, orient="top", symbolSize=80, labelLimit=300, columnPadding=24)
    colours = alt.Scale(domain=names, range=[_COLOURS[kind] for kind in kinds])
    shapes = alt.Scale(domain=names, range=[_SHAPES[kind] for kind in kinds])
    return {
        "color": alt.Color("a:N", scale=colours, legend=legend),
        "shape": alt.Shape("a:N", scale=shapes, legend=legend),
    }


def shares(rows: Sequence[tuple[str, float, float]], here: str, there: str) -> str:
    """Two shares for each group, side by side: those of patients here and those of another population."""
    values = [
        {"name": name, "whose": whose, "share": 100 * share}
        for name, *both in rows
        for whose, share in zip((here, there), both, strict=True)
    ]
    colours = alt.Scale(domain=[here, there], range=["#12486b", "#c28a2b"])
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(height={"band": 0.85})
        .encode(
            x=alt.X("share:Q", title="in 100 people", axis=alt.Axis(grid=True, tickCount=5)),
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=330, ticks=False)),
            yOffset=alt.YOffset("whose:N", sort=[here, there]),
            color=alt.Color("whose:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
        )
        .properties(width=_WIDTH, height=max(1, len(rows)) * 34)
    )
    return _svg(chart)


def months(rows: Sequence[tuple[str, float]]) -> str:
    """One bar for each month, as long as a share."""
    values = [{"month": name, "share": 100 * share} for name, share in rows]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(color="#12486b", height={"band": 0.7})
        .encode(
            x=alt.X("share:Q", title="known, of 100", scale=alt.Scale(domain=[0, 100])),
            y=alt.Y("month:N", sort=None, title=None, axis=alt.Axis(labelLimit=330, ticks=False)),
        )
        .properties(width=_WIDTH, height=max(1, len(rows)) * 22)
    )
    return _svg(chart)


@dataclass(frozen=True, slots=True)
class Spot:
    """One band of the score: what was predicted, what came, and its limits, in parts of 1."""

    predicted: float
    seen: float
    low: float
    high: float


def calibration(panels: Sequence[tuple[str, Sequence[Spot]]]) -> str:
    """One small square for each group: predicted along, seen upwards; on the line both are the same."""
    rows = [
        {"name": name, "p": 100 * s.predicted, "o": 100 * s.seen, "l": 100 * s.low, "h": 100 * s.high}
        for name, spots in panels
        for s in spots
    ]
    most = min(100.0, max(100 * max(s.predicted, s.high) for _, spots in panels for s in spots) * 1.05)
    scale = alt.Scale(domain=[0, most], nice=False)
    x = alt.X("p:Q", title="predicted, of 100", scale=scale)
    base = alt.Chart(alt.Data(values=rows))
    line = base.transform_calculate(o="datum.p").mark_line(color="#33404f", strokeDash=[4, 3])
    limits = base.mark_rule(strokeWidth=2, color="#12486b")
    spots = base.mark_point(size=70, filled=True, opacity=1, color="#12486b")
    y = alt.Y("o:Q", title="came, of 100", scale=scale)
    bars = limits.encode(x=x, y=alt.Y("l:Q", title="came, of 100", scale=scale), y2="h:Q")
    panel = (line.encode(x=x, y=y) + bars + spots.encode(x=x, y=y)).properties(width=190, height=170)
    order = [name for name, _ in panels]
    header = alt.Header(title=None, labelLimit=200, labelFontSize=11)
    return _svg(panel.facet(facet=alt.Facet("name:N", sort=order, header=header), columns=3))


def _svg(chart: Any) -> str:
    font = "Liberation Sans, Helvetica, Arial, sans-serif"
    drawn = (
        chart.configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor="#16263c")
        .configure_legend(labelFontSize=12)
        .configure(font=font, background="#ffffff", aria=False, padding=_PADDING)
    )
    svg = str(vl_convert.vegalite_to_svg(drawn.to_dict()))
    # The page names and describes the drawing; its parts would only be read out one by one.
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
