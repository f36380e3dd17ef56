"""What every test shares: hypothesis settings that do not depend on how busy the machine is."""

from hypothesis import settings

settings.register_profile("sewdsl", deadline=None, derandomize=True)
settings.load_profile("sewdsl")
