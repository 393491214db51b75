"""Page of transcripts: one HTML file to read, filter and search.

Text from assistants is hostile: it may contain markup, scripts, or characters that
reverse a line.  Three barriers keep it from running:

    the data are JSON without ``<``, ``>`` and ``&``, in a block that is no script;
    the script inserts them as text, never as markup;
    the page's policy allows one script and one style, by their hashes, and no request.

Reference: W3C, Content Security Policy Level 3, section 8 (hashes); OWASP, Cross Site
Scripting Prevention, rule 3.1 (JSON within HTML).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import heliostat as hs
from heliostat.results.output import write_output
from heliostat_tasks.sycophancy import items, labels
from heliostat_tasks.sycophancy.transcripts import MAX_CHARACTERS, transcript_data

POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SCRIPTS = ("text.js", "filters.js", "head.js", "talks.js", "pages.js")
ESCAPED = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&"})


def write(runs: Sequence[hs.Run], output: Path) -> int:
    """Write the page of some runs; return its size in bytes.

    Args:
        runs: runs of this task.
        output: the HTML file.

    Raises:
        heliostat.RequestError: for a run of another task, or one without any turn; or
            if the file cannot be written.
    """
    data = [transcript_data(run) for run in runs]
    for transcript, name in zip(data, labels.assistant_names(runs), strict=True):
        transcript["name"] = name  # distinguishes the assistants of these runs
    text = page({"longest": MAX_CHARACTERS, "runs": data}).encode()
    write_output(output, text)
    return len(text)


def page(data: Any) -> str:
    """Return the page with its data, which are not trusted.

    Args:
        data: JSON.

    Example:
        >>> "<b>" in page({"longest": 9, "runs": [{"id": "<b>"}]})
        False
    """
    style, script = _shipped("style.css"), "\n".join(map(_shipped, SCRIPTS))
    policy = POLICY.format(script=csp_hash(script), style=csp_hash(style))
    parts = {
        "policy": policy,
        "style": style,
        "script": script,
        "data": embed_json(data),
    }
    head, *rest = _shipped("page.html").split("{{")
    for part in rest:  # one pass: inserted text is not searched for marks
        name, _, after = part.partition("}}")
        head += parts[name] + after
    return head


def embed_json(data: Any) -> str:
    """Return JSON that is safe inside an HTML block, whatever it contains.

    ``<``, ``>`` and ``&`` occur only within strings, where JSON may escape them.
    Characters beyond ASCII are escaped as well.

    Args:
        data: JSON.

    Example:
        >>> embed_json({"said": "</script>"})
        '{"said":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII
    return text.translate(ESCAPED)


def csp_hash(text: str) -> str:
    """Return the hash by which a policy allows a script or a style.

    Example:
        >>> csp_hash("")
        'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def _shipped(name: str) -> str:
    return items.read_shipped(f"viewer/{name}")
