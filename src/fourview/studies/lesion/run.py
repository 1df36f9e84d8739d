"""A lesion run: every network trained and asked about the lesions that it has not seen, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lightning_fabric import Fabric

from fourview.studies.lesion.lesion_input import ReadLesion
from fourview.studies.lesion.outcome import MemberOutcome, Outcome, conclude
from fourview.studies.lesion.run_folder import keep_answers, kept_answers, open_member
from fourview.studies.lesion.study import LesionStudy, MemberPlan, answer_member, train_member
from fourview.train.trained import Step

OnStep = Callable[[MemberPlan, Step], None]


def run_study(
    study: LesionStudy,
    out: Path,
    folds: Sequence[int],
    read: ReadLesion,
    *,
    fabric: Fabric,
    on_step: OnStep = lambda plan, step: None,
) -> Outcome:
    """What came out; networks that an earlier sitting finished are taken as they are.

    out    of run_folder.open_folder;  folds  from 0;  fabric  launched, one device
    Raises SetupError and KeyboardInterrupt as train.loop.train does.
    """
    members = [_run_member(study, plan, out, read, fabric=fabric, on_step=on_step) for plan in study.plan(folds)]
    return conclude(study, folds, members)


def _run_member(
    study: LesionStudy, plan: MemberPlan, out: Path, read: ReadLesion, *, fabric: Fabric, on_step: OnStep
) -> MemberOutcome:
    run = open_member(out, plan)
    trained, tensors = train_member(study, plan, read, run, fabric=fabric, on_step=lambda step: on_step(plan, step))
    answers = kept_answers(run)
    if answers is None:
        answers = answer_member(study, plan, tensors, read, device=fabric.device)
        keep_answers(run, answers)
    return MemberOutcome(plan, trained, tensors, answers)
