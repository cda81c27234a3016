"""The images of a store: looking them up, recording them, and the layers they are made of."""
