"""What the commands do, one file each; they import what they need when they run, so that `beamloop --help` is quick."""
