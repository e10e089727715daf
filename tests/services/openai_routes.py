"""The HTTP routes for OpenAI's clients, whose answers and refusals have OpenAI's shape.

They stand apart from those of :mod:`tests.services.routes`, which most tests go through.
"""

from __future__ import annotations

from tests.services.routes import Home, Route

OPENAI_ROUTES = (
    Route("listModels", "GET", "/v1/models"),
    Route("getModel", "GET", "/v1/models/{model}"),
    Route(
        "createChatCompletion",
        "POST",
        "/v1/chat/completions",
        {"model": "{model}", "messages": [{"role": "user", "content": "What grows here?"}]},
    ),
    Route("createModelResponse", "POST", "/v1/responses", {"model": "{model}", "input": "What grows here?"}),
    Route("getModelResponse", "GET", "/v1/responses/{model_response_id}"),
    Route("deleteModelResponse", "DELETE", "/v1/responses/{model_response_id}"),
    Route("cancelModelResponse", "POST", "/v1/responses/{model_response_id}/cancel"),
    Route("listModelResponseInput", "GET", "/v1/responses/{model_response_id}/input_items"),
)


async def openai_home(home: Home) -> Home:
    """Return a home as OpenAI's clients see it: its companion is a model, and has said something."""
    model = f"companion/{home.ids['companion_id']}"
    asked = {"model": model, "input": "What grows here?"}
    answer = await home.owner.http.post("/v1/responses", json=asked)
    assert answer.status_code == 200, answer.text
    return Home(home.owner, {**home.ids, "model": model, "model_response_id": answer.json()["id"]})
