"""One's own music: files into a catalogue, and out of it again."""
