"""Results of a build: the config, its history, the export, reports and failures."""
