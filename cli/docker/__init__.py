"""Verbs that show objects in Docker's form: they call the API's handlers in this process, and format the answers."""
