import os
import threading

import pytest

from zoo.parts import current_core, cut, together


def test_parts_are_all_rows_once():
    assert cut(10, 3) == [(0, 3), (3, 6), (6, 10)]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two cores",
)
def test_parts_keep_off_the_core_of_whoever_calls():
    mine, found = os.sched_getaffinity(0), []

    def caller(core):
        os.sched_setaffinity(0, {core})  # this thread only
        found.append((core, *together([current_core, current_core])))

    for core in sorted(mine) * 3:
        thread = threading.Thread(target=caller, args=[core])
        thread.start()
        thread.join()
    assert len(found) == 3 * len(mine)
    assert all(core == first != second for core, first, second in found)
    assert os.sched_getaffinity(0) == mine
