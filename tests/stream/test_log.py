"""What is read of a log at once is what is read of it event by event."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from requence._transport.event_log import DamagedEventError, EventLog, LogEvent

IDS = st.one_of(
    st.integers(0, 12).map(str), st.sampled_from(["", "007", "+5", "1_0", " 4", "٣", "x", "9" * 19, "-1"])
)
DATA = st.sampled_from(
    ['{"updateId":"a"}', '{"updateId":"b"}', "{}", '{"n":1}', "[]", "null", "{", "", '{"x":"\\ud83d"}', "5"]
)
EVENTS = st.lists(st.tuples(IDS, st.sampled_from(["nodeStart", "taskEnd"]), DATA), max_size=12)


def one_by_one(log: EventLog, events: list[Any]) -> list[LogEvent | str]:
    found: list[LogEvent | str] = []
    for event in events:
        try:
            read = log.read(event)
        except DamagedEventError as error:
            found.append(f"{error.position} {error.name} {error.again}")
        else:
            found += [] if read is None else [read]
    return found


@given(before=EVENTS, events=EVENTS, replay=EVENTS, begin=st.one_of(st.none(), st.integers(0, 5)))
def test_at_once_as_one_by_one(
    before: list[Any], events: list[Any], replay: list[Any], begin: int | None
) -> None:
    plain, quick = EventLog(begin), EventLog(begin)
    assert one_by_one(plain, before) == one_by_one(quick, before)
    expected = one_by_one(plain, events)
    position = quick.position
    read = quick.read_all(events)
    if read is None:
        assert quick.position == position, "what is in doubt was not read"
        read = one_by_one(quick, events)  # type: ignore[assignment]
    assert read == expected
    assert quick.position == plain.position
    assert one_by_one(quick, replay) == one_by_one(plain, replay), "both know what they have read"
