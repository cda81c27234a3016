"""The face of Apptainer: the commands `apptainer` and `singularity`, on this store (ADR 36)."""
