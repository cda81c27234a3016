"""The Dockerfile language: from text to frozen instructions."""
