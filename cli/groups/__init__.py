"""Docker's groups (`container`, `image`, …): a module for each, with the verbs that only the group has."""
