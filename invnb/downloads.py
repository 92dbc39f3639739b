"""Downloads by libraries that set no time limit and fail in many ways."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException

from invnb.errors import InvnbError

TIMEOUT = 30.0  # seconds without an answer before a download counts as failed


@contextmanager
def downloading(failure: Callable[[str], InvnbError]) -> Iterator[None]:
    """Wait for an answer no longer than `TIMEOUT`, and tell of any failure in one sentence.

    Args:
        failure: makes the error of a reason, a few words on one line.

    """
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    except (OSError, RuntimeError, HTTPException, InvnbError) as error:
        raise failure(" ".join(str(error).split())) from error
    finally:
        socket.setdefaulttimeout(timeout)
