"""What credentials of the S3 store need to allow, as servers want it written.

The service reads, writes, lists and deletes all of it. A runner reads what it is asked to run, and writes below names
of its own: what others say and made is out of its reach, so whoever has its credentials disturbs that runner only.
"""

from __future__ import annotations

import secrets
from typing import Any

from rebuilder.store.remote_blobs import SHARED, outputs_of

_READ, _WRITE = "Read", "Write"
_OBJECTS = {_READ: ["s3:GetObject"], _WRITE: ["s3:PutObject", "s3:AbortMultipartUpload"]}


def _of_runner(runner_id: str) -> dict[str, list[str]]:
    """Patterns of the names of objects that a runner reads and writes; ``*`` stands for any characters.

    It reads its own outputs, too: what is there already is not sent again.
    """
    own = f"{outputs_of(runner_id)}/*"
    return {
        _READ: [f"{SHARED}/*", "environments/*", "orders/*", own],
        _WRITE: [own, f"answers/*/{runner_id}.*"],
    }


def seaweedfs(url: str, name: str, runner_id: str | None) -> dict[str, Any]:
    """An identity for the ``identities`` of SeaweedFS, with a new secret.

    Args:
        url: ``s3://BUCKET/PREFIX``.
        name: What it is called there.
        runner_id: Of the runner; None: of the service.
    """
    bucket, prefix = _place(url)
    if runner_id is None:
        actions = [f"{each}:{bucket}" for each in (_READ, _WRITE, "List")]
    else:
        rights = _of_runner(runner_id)
        actions = [f"{kind}:{bucket}/{prefix}{each}" for kind, names in rights.items() for each in names]
    keys = {"accessKey": f"{name}-{secrets.token_hex(4)}", "secretKey": secrets.token_urlsafe(30)}
    return {"name": name, "credentials": [keys], "actions": actions}


def policy(url: str, runner_id: str | None, principal: str | None) -> dict[str, Any]:
    """A policy in the language of S3: of a user, or (with a principal) of the bucket.

    A runner may list, because S3 says to nobody else that an object is not there: only that it must not be looked at.

    Args:
        url: ``s3://BUCKET/PREFIX``.
        runner_id: Of the runner; None: of the service.
        principal: Whom a policy of the bucket is about, such as an ARN.
    """
    bucket, prefix = _place(url)
    if runner_id is None:
        rights = [(["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"], ["*"])]
    else:
        rights = [(_OBJECTS[kind], names) for kind, names in _of_runner(runner_id).items()]
    whom = {"Principal": {"AWS": principal}} if principal is not None else {}
    resources = [(actions, [f"{bucket}/{prefix}{each}" for each in names]) for actions, names in rights]
    statements = [
        {"Effect": "Allow", **whom, "Action": actions, "Resource": [f"arn:aws:s3:::{each}" for each in places]}
        for actions, places in (*resources, (["s3:ListBucket"], [bucket]))
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _place(url: str) -> tuple[str, str]:
    bucket, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
    return bucket, f"{prefix}/" if prefix else ""
