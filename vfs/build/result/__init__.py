"""What a build gives: the config, its history, the export, reports and failures."""
