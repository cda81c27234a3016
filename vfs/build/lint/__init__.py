"""The checks of `build --check`: BuildKit's rules for Dockerfiles, as far as the parser sees what they are about."""
