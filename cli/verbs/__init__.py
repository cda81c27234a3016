"""One module for each verb: its options, and its action."""
