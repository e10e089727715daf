"""Ten lines with the openai SDK: the first of your companions answers, and is asked once more.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=TOKEN python docs/examples/openai_talk.py
"""

from openai import OpenAI

with OpenAI() as client:  # reads OPENAI_BASE_URL and OPENAI_API_KEY
    companion = client.models.list().data[0].id
    talk = []
    for words in ("Good morning! Who are you?", "What do you like best?"):
        talk.append({"role": "user", "content": words})
        stream = client.chat.completions.create(model=companion, messages=talk, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        talk.append({"role": "assistant", "content": "".join(pieces)})
        print(f"> {words}\n{talk[-1]['content']}\n")
