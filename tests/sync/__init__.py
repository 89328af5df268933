"""The kit of words, locks and channels."""
