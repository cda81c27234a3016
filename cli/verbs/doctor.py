"""`rootlay doctor`: check which features work on this machine."""

from __future__ import annotations

from rootlay.cli.spec import Context, Option, Values, Verb
from rootlay.store.model.value import as_dict


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.doctor.doctor import examine

    findings = examine(context.root, context.environ)
    if values.flag("json"):
        context.out.json([as_dict(finding) for finding in findings])
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            context.out.line(f"{finding.status:6}{finding.name:{width}}  {finding.text}")
            if finding.advice:
                context.out.line(f"{'':{width + 8}}{finding.advice}")
    return int(any(finding.status == "fail" for finding in findings))


VERB = Verb(
    name="doctor",
    help="Check this machine and suggest fixes.",
    action=action,
    options=(Option(("--json",), "flag", "As JSON."),),
    exits="0 if programs can run here, 1 if a check failed.",
)
