"""Tables of songs: read, analysed row by row, evaluated."""
