lock:
	uv pip compile pyproject.toml --extra build --universal --generate-hashes --no-annotate --no-header -q -o requirements.txt
	uv pip compile pyproject.toml --extra build --extra dev --universal --generate-hashes --no-annotate --no-header -q -c requirements.txt -o requirements-dev.txt
