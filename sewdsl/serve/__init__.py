"""The live page: an editor next to the picture, the table and the problems of what is written in it."""
