"""What every test takes as given of the process it runs in."""

import signal

# A shell's background job, such as `make test &`, ignores Ctrl-C, and so would every program that tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)
