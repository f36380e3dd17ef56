"""Events of a vision sensor: how they lie on disk, and how they become frames."""
