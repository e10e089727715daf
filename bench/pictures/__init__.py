"""What the benches of pictures stand on: photographs, a measure of likeness, and rivals at the same work."""
