"""Talk with a companion through the openai SDK: python openai_sdk.py HUB TOKEN."""

import sys

from openai import OpenAI

hub, token = sys.argv[1:]

with OpenAI(base_url=f"{hub}/v1", api_key=token) as client:
    companion = client.models.list().data[0].id
    talk = [{"role": "user", "content": "Good morning! Who are you?"}]
    for chunk in client.chat.completions.create(model=companion, messages=talk, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)

    first = client.responses.create(model=companion, input="What grows in your garden?")
    more = client.responses.create(model=companion, input="Tell me more.", previous_response_id=first.id)
    print(f"\n{first.output_text}\n{more.output_text}")
