"""CPython's own tests of selectors and of event loops, on ours. They come with most builds of CPython, not with all."""

import asyncio
import unittest

import pytest

from vivace import _engine
from vivace.loop import new_event_loop

pytest.importorskip("test.test_asyncio", reason="CPython's tests are not installed")

from test import test_selectors
from test.test_asyncio import (
    test_events,
    test_sendfile,
    test_sock_lowlevel,
    test_streams,
    test_subprocess,
    test_taskgroups,
    test_timeouts,
    test_waitfor,
)
from test.test_asyncio import utils as test_utils

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]


class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        return new_event_loop()


@pytest.fixture(autouse=True)
def _our_loop_for_all():
    asyncio.set_event_loop_policy(Policy())
    yield
    asyncio.set_event_loop_policy(None)


class OnOurLoop:
    def create_event_loop(self):
        return new_event_loop()


class TestSelector(test_selectors.BaseSelectorTestCase, test_selectors.ScalableSelectorMixIn, unittest.TestCase):
    SELECTOR = _engine.Selector

    def test_modify(self):
        self.skipTest("it puts mocks in the place of methods, which a type written in C does not take")

    def test_above_fd_setsize(self):
        self.skipTest("512 ready descriptors are given at a time, the others with the next call")


class TestEvents(OnOurLoop, test_events.UnixEventLoopTestsMixin, test_events.SubprocessTestsMixin, test_utils.TestCase):
    def test_get_event_loop_new_process(self):
        self.skipTest("it starts this very program")


class TestSockets(OnOurLoop, test_sock_lowlevel.BaseSockTestsMixin, test_utils.TestCase):
    pass


class TestSendfile(OnOurLoop, test_sendfile.SendfileTestsBase, test_utils.TestCase):
    pass


class TestStreams(test_streams.StreamTests):
    pass


class TestSubprocesses(test_subprocess.SubprocessThreadedWatcherTests):
    pass


class TestTimeouts(test_timeouts.TimeoutTests):
    pass


class TestTaskGroups(test_taskgroups.TestTaskGroup):
    pass


class TestWaitFor(test_waitfor.AsyncioWaitForTest):
    pass
