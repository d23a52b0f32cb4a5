"""The one exception that reaches users as a single line."""


class BnnhwError(Exception):
    """A mistake in the user's input: the thing, the rule, the value and the remedy in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
