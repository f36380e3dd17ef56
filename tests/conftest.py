"""What every test shares: settings that depend neither on how busy the machine is nor on who started the tests."""

import signal

from hypothesis import settings

settings.register_profile("sewdsl", deadline=None, derandomize=True)
settings.load_profile("sewdsl")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts so what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and children of the tests would inherit it
