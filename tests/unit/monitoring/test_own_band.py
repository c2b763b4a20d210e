"""What may be said of a patient's own score band, and from whom when there are too few like him."""

from __future__ import annotations

import pytest

from cds_wrapper.monitoring.own_band import Basis, Cell, Says, own_band

KNOWN = Cell(Basis.BAND_AND_LEVEL, 240, 36, 60)


def test_fewer_events_than_predicted_are_said_when_one_group_is_watched() -> None:
    told = own_band([KNOWN], 0.05, 1)
    assert told is not None

    assert told.share.value == pytest.approx(0.15)
    assert told.share.interval == pytest.approx((0.110358, 0.200669), abs=6e-7)
    assert told.ratio.value == pytest.approx(0.60)
    assert told.ratio.interval == pytest.approx((0.340160, 0.952199), abs=6e-7)
    assert told.says is Says.FEWER_THAN_PREDICTED


def test_with_thirty_groups_watched_the_same_figures_may_not_say_so_yet() -> None:
    told = own_band([KNOWN], 0.05, 30)
    assert told is not None

    assert told.ratio.interval == pytest.approx((0.26934, 1.09811), abs=6e-6)
    assert told.says is Says.TOO_FEW


@pytest.mark.parametrize(
    ("n", "events", "expected", "says"),
    [
        (2_000, 300, 200, Says.MORE_THAN_PREDICTED),
        (5_000, 500, 500, Says.AS_PREDICTED),
        (50_000, 5_600, 5_000, Says.AS_PREDICTED),  # surely more, and by too little to say
        (400, 40, 38, Says.TOO_FEW),
    ],
)
def test_a_direction_needs_certainty_and_size(n: float, events: float, expected: float, says: Says) -> None:
    told = own_band([Cell(Basis.LEVEL, n, events, expected)], 0.05, 1)
    assert told is not None

    assert told.says is says


def test_a_thin_cell_leaves_the_word_to_the_level_then_to_the_band() -> None:
    thin = Cell(Basis.BAND_AND_LEVEL, 60, 9, 8)
    level, band = Cell(Basis.LEVEL, 800, 70, 75), Cell(Basis.BAND, 9_000, 900, 890)

    def used(*cells: Cell) -> Basis | None:
        told = own_band(cells, 0.05, 1)
        return None if told is None else told.cell.basis

    assert used(band, level, KNOWN) is Basis.BAND_AND_LEVEL
    assert used(band, level, thin) is Basis.LEVEL
    assert used(band, Cell(Basis.LEVEL, 90, 12, 10), thin) is Basis.BAND
    assert used(thin) is None
    assert used() is None


def test_the_same_patients_again_make_a_cell_thin() -> None:
    told = own_band([Cell(Basis.BAND_AND_LEVEL, 240, 36, 60, 2.0)], 0.05, 1)

    assert told is None
