"""The live page: an editor beside the picture, the table and the problems of what is written in it."""
