"""The synthetic world of the demo model: its truth, its grammar, its oracle, its training."""

from cai_core.demo_world.oracle import Oracle, WorldCheck, load_oracle, world_check
from cai_core.demo_world.world import Intent, Standing, World, load_world

__all__ = [
    "Intent",
    "Oracle",
    "Standing",
    "World",
    "WorldCheck",
    "load_oracle",
    "load_world",
    "world_check",
]
