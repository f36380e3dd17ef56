"""Files of a run folder. Importing this package does not import torch."""
