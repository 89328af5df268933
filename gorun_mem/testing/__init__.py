"""What tests are written with: the pytest plugin, the explore mark, Hypothesis strategies."""


class OutdatedReplay(UserWarning):
    """A test has changed, so that a schedule which its mark keeps is none of it any more."""
