"""What a build reads: contexts, ignore files, git, downloads, and the trees of images that it stands on."""
