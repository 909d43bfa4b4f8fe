"""One file per data set, all of one shape: docstring, citation, licence, where from, reader."""
