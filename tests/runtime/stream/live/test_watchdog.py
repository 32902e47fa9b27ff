"""What counts as progress, and how long is waited for it."""

import numpy as np

from crispstream.runtime.stream.live.feed import Picture
from crispstream.runtime.stream.live.watchdog import Watchdog
from tests.helpers.feeds import FRAME_NS, picture

SECOND = 1_000_000_000


class Watched:
    """A watchdog and the time, 25 pictures a second."""

    def __init__(self):
        self.now, self.count = 0, 0
        self.dog = Watchdog()
        self.dog.opened(0)

    def see(self, seconds, content):
        """Show pictures for a while; return what was said, and whether it was ever hopeless."""
        said, hopeless = [], False
        for _ in range(round(seconds * 25)):
            self.now += FRAME_NS
            self.count += 1
            said.append(self.dog.look(content(self.count), self.now))
            hopeless = hopeless or self.dog.hopeless
        return said, hopeless

    def reopen(self):
        self.dog.give_up()
        self.dog.opened(self.now)

    def patience_seconds(self, content):
        begun = self.now
        while not self.dog.hopeless:
            self.see(0.04, content)
            assert self.now - begun < 1000 * SECOND
        return (self.now - begun) / SECOND


def moving(n):
    return picture(n)


def frozen(n):
    return picture(7, pts=40 * n)


def test_a_moving_picture_is_fine():
    said, hopeless = Watched().see(20, moving)
    assert not any(said)
    assert not hopeless


def test_a_frozen_picture_is_told_after_two_seconds_and_hopeless_after_five():
    watched = Watched()
    watched.see(1, moving)
    assert not any(watched.see(1.9, frozen)[0])
    said, hopeless = watched.see(1, frozen)
    assert said[-1].startswith("the picture has not changed for 2.8")
    assert not hopeless
    assert watched.see(3, frozen)[1]


def test_it_is_fine_again_with_the_first_new_picture():
    watched = Watched()
    watched.see(4, frozen)
    assert watched.dog.look(picture(200), watched.now) == ""


def test_an_encoder_that_refines_a_still_picture_at_each_keyframe_does_not_hide_it():
    watched = Watched()
    _, hopeless = watched.see(9, lambda n: picture(min(n % 12, 4), pts=40 * n))
    assert hopeless


def test_a_change_smaller_than_the_grid_is_seen():
    def almost_still(n):
        pixels = np.zeros((480, 640, 3), np.uint8)
        pixels[1, n % 640] = 255  # between the rows that are looked at first
        return Picture(pixels, 40 * n)

    assert not any(Watched().see(8, almost_still)[0])


def test_noise_on_a_still_scene_is_progress():
    rng = np.random.default_rng(0)
    still = np.full((48, 64, 3), 90, np.uint8)

    def noisy(n):
        return Picture(still + rng.integers(0, 2, still.shape, np.uint8), 40 * n)

    assert not any(Watched().see(8, noisy)[0])


def test_timestamps_that_stand_still_are_told_although_the_picture_moves():
    watched = Watched()
    watched.see(1, moving)
    said, hopeless = watched.see(6, lambda n: picture(n, pts=1000))
    assert said[-1].startswith("the timestamps have not grown for 6")
    assert hopeless


def test_a_clock_that_goes_back_once_is_fine():
    watched = Watched()
    watched.see(1, moving)
    assert not any(watched.see(8, lambda n: picture(n, pts=40 * n - 10**9))[0])


def test_feeds_without_timestamps_are_judged_by_the_picture_alone():
    assert not any(Watched().see(8, lambda n: picture(n, pts=None))[0])
    assert Watched().see(8, lambda n: picture(7, pts=None))[1]


def test_a_scene_that_stays_still_over_reopening_is_left_alone_ever_longer():
    watched = Watched()
    waits = []
    for _ in range(9):
        waits.append(watched.patience_seconds(frozen))
        watched.reopen()
    assert [round(wait) for wait in waits] == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_stalled_stream_has_to_move_before_it_counts_as_live_again():
    watched = Watched()
    watched.patience_seconds(frozen)
    watched.reopen()
    assert all(watched.see(1, frozen)[0])
    assert not watched.see(0.2, moving)[0][-1]


def test_patience_is_short_again_once_it_moved_for_a_while():
    watched = Watched()
    for _ in range(3):
        watched.patience_seconds(frozen)
        watched.reopen()
    watched.see(10, moving)
    assert round(watched.patience_seconds(frozen)) == 5


def test_a_new_feed_after_an_outage_starts_with_a_clean_sheet():
    watched = Watched()
    watched.see(1, moving)
    watched.now += 60 * SECOND
    watched.dog.opened(watched.now)
    assert not any(watched.see(1, moving)[0])
