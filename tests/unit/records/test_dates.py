from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.records.criteria import date_condition
from appliance.records.dates import HOSPITAL_ZONE, date_range, is_calendar_date, period_range
from appliance.records.instants import instant_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPANS = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "first", "length"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=HOSPITAL_ZONE), timedelta(days=366)),
        ("2023-02", datetime(2023, 2, 1, tzinfo=HOSPITAL_ZONE), timedelta(days=28)),
        ("2023-12", datetime(2023, 12, 1, tzinfo=HOSPITAL_ZONE), timedelta(days=31)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=HOSPITAL_ZONE), timedelta(days=1)),
        ("2024-02-29T10:11", datetime(2024, 2, 29, 10, 11, tzinfo=HOSPITAL_ZONE), timedelta(minutes=1)),
        ("2024-02-29T10:11:12Z", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC), timedelta(seconds=1)),
        ("2024-02-29T10:11:12-03:00", datetime(2024, 2, 29, 13, 11, 12, tzinfo=UTC), timedelta(seconds=1)),
        ("2024-02-29T10:11:12+05:30", datetime(2024, 2, 29, 4, 41, 12, tzinfo=UTC), timedelta(seconds=1)),
        ("2024-02-29T10:11:12.5Z", datetime(2024, 2, 29, 10, 11, 12, 500_000, tzinfo=UTC), timedelta(milliseconds=100)),
        (
            "2024-02-29T10:11:12.123456Z",
            datetime(2024, 2, 29, 10, 11, 12, 123_000, tzinfo=UTC),
            timedelta(milliseconds=1),
        ),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), timedelta(seconds=1)),
        ("0001", datetime(1, 1, 1, tzinfo=HOSPITAL_ZONE), timedelta(days=365)),
    ],
)
def test_a_date_is_the_span_it_names(text: str, first: datetime, length: timedelta) -> None:
    low, high = date_range(text)
    assert low == milliseconds(first)
    assert high - low == length // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text", ["2023-02-29", "2024-13", "2024-00-01", "24", "2024-1-1", "", "2024-01-01T25:00Z", "x2024", "9" * 99]
)
def test_what_is_not_in_the_calendar_is_no_date(text: str) -> None:
    assert not is_calendar_date(text)


def test_the_last_year_and_open_periods_reach_beyond_everything() -> None:
    assert date_range("9999")[1] > date_range("9999-12-31T23:59:59.999Z")[0]
    low, high = period_range(None, None)
    assert low < date_range("0001")[0]
    assert high > date_range("9999-12-31")[1]
    assert period_range("2024", "2024-06") == (date_range("2024")[0], date_range("2024-06")[1])


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC)))  # noqa: DTZ001  hypothesis wants them naive
def test_coarser_dates_contain_finer_ones(moment: datetime) -> None:
    local = moment.astimezone(HOSPITAL_ZONE)
    texts = [
        f"{local.year:04d}",
        f"{local.year:04d}-{local.month:02d}",
        f"{local.year:04d}-{local.month:02d}-{local.day:02d}",
    ]
    spans = [date_range(text) for text in (*texts, local.isoformat())]
    for (low, high), (inner_low, inner_high) in itertools.pairwise(spans):
        assert low <= inner_low < inner_high <= high


@given(st.integers(date_range("0002")[0], date_range("9998")[0]))
def test_instants_sort_as_text_and_read_back(moment: int) -> None:
    assert date_range(instant_of(moment)) == (moment, moment + 1)
    assert instant_of(moment) < instant_of(moment + 1)


@given(SPANS, SPANS)
def test_prefixes_mean_what_the_specification_says(stored: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Against FHIR R4 §3.1.1.4.5, moment by moment."""
    inside, searched = set(range(*stored)), set(range(*wanted))
    above, below = set(range(wanted[1], 100)), set(range(-100, wanted[0]))
    expected = {
        "eq": inside <= searched,
        "ne": not inside <= searched,
        "gt": bool(inside & above),
        "lt": bool(inside & below),
        "ge": bool(inside & above) or inside <= searched,
        "le": bool(inside & below) or inside <= searched,
        "sa": inside <= above,
        "eb": inside <= below,
    }
    for prefix, matches in expected.items():
        sql, values = date_condition(prefix, str(stored[0]), str(stored[1]), wanted)
        python = sql.replace(" AND ", " and ").replace(" OR ", " or ").replace("NOT ", "not ")
        for value in values:
            python = python.replace("?", str(value), 1)
        assert eval(python) is matches, prefix
