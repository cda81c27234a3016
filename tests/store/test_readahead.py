"""Which requests follow each other."""

from __future__ import annotations

from rootlay.store.hydrate.readahead import FIRST_WINDOW, STREAMS_MAX, WINDOW_MAX, Streams


def test_single_requests_are_no_reason_to_look_ahead() -> None:
    streams = Streams()
    assert [streams.asked(entry) for entry in (5000, 100, 9000, 2000)] == [0, 0, 0, 0]


def test_the_window_grows_as_long_as_a_stream_goes_on() -> None:
    streams = Streams()
    windows = [streams.asked(entry) for entry in range(100, 112)]
    assert windows[:4] == [0, FIRST_WINDOW, 2 * FIRST_WINDOW, 4 * FIRST_WINDOW]
    assert windows[-1] == WINDOW_MAX


def test_streams_of_several_levels_do_not_disturb_each_other() -> None:
    streams = Streams()
    for step in range(1, 5):
        assert (
            streams.asked(1000 + step) == streams.asked(50_000 + 20 * step) == (FIRST_WINDOW << step >> 2) * (step > 1)
        )


def test_the_same_request_again_is_no_stream() -> None:
    streams = Streams()
    assert [streams.asked(7) for _ in range(3)] == [0, 0, 0]


def test_old_streams_are_forgotten() -> None:
    streams = Streams()
    streams.asked(10)
    for entry in range(STREAMS_MAX):
        streams.asked(1_000_000 * (entry + 1))
    assert streams.asked(11) == 0
