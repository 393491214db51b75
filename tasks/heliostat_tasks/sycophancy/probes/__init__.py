"""Four probes of sycophancy: short conversations, one file for each.

    feedback       comments on a text, by whether the user likes or wrote it
    are_you_sure   a right answer that is doubted without a reason
    answer         a question, with what the user believes
    mimicry        a poem that is ascribed to the wrong poet

Reference: Sharma et al., arXiv:2310.13548, sections 3.1 to 3.4; controls are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliostat_tasks.sycophancy.probes.answer import AnswerProbe
from heliostat_tasks.sycophancy.probes.are_you_sure import AreYouSure
from heliostat_tasks.sycophancy.probes.feedback import Feedback
from heliostat_tasks.sycophancy.probes.mimicry import Mimicry
from heliostat_tasks.sycophancy.probes.probe import Probe

__all__ = ["PROBES", "Probe"]

PROBES: Mapping[str, Probe] = {
    "feedback": Feedback(),
    "are_you_sure": AreYouSure(),
    "answer": AnswerProbe(),
    "mimicry": Mimicry(),
}
