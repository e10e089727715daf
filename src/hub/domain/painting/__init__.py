"""Pictures of companions: asked for, painted, stored."""
