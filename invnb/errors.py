"""The one exception type that a user of the command line is meant to read."""


class InvnbError(Exception):
    """A problem the user can mend: one sentence that names the value and what is allowed."""
