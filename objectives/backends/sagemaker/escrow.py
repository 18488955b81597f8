"""What a fine-tune leaves behind: the checkpoint in Amazon's escrow, and the model that is registered with it.

Source: Amazon Nova user guide, "nova-iterative-training": weights stay in a bucket of Amazon's that belongs to the
account, `manifest.json` among a job's output says where, and they are kept, and paid for, until they are deleted.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

from botocore.exceptions import ClientError

from objectives.backends.sagemaker.client import Clients
from objectives.backends.sagemaker.reply import translated
from objectives.backends.sagemaker.store import Store
from objectives.remote import Leftover

MANIFEST = "manifest.json"
"""Which file of a job's output says where its weights are."""

CHECKPOINT, PACKAGE = "checkpoint", "model_package"
"""What measurements call the two among their artefacts."""

GONE = re.compile("does not exist|not found|could not find|NoSuchBucket", re.IGNORECASE)
"""What is said of something that was deleted."""


def checkpoint_in(manifest: bytes) -> str | None:
    """Where a fine-tune's weights are, an S3 URI; None where its manifest does not say."""
    try:
        data = json.loads(manifest)
    except ValueError:
        return None
    place = data.get("checkpoint_s3_bucket") if isinstance(data, dict) else None
    return place if isinstance(place, str) and re.fullmatch(r"s3://[^/]+/.+", place) else None


def leftovers(artefacts: Mapping[str, str]) -> tuple[Leftover, ...]:
    """What a measured fine-tune left, by its artefacts, in the order in which it should be deleted."""
    found = []
    if (package := artefacts.get(PACKAGE)) is not None:
        region = package.split(":")[3]
        command = ["aws", "sagemaker", "delete-model-package", "--region", region, "--model-package-name", package]
        found.append(Leftover(what="model package", place=package, command=shlex.join(command)))
    if (place := artefacts.get(CHECKPOINT)) is not None:
        folder = f"{place.rstrip('/')}/"  # else what begins with the same letters would go as well
        found.append(
            Leftover(what="checkpoint", place=folder, command=shlex.join(["aws", "s3", "rm", "--recursive", folder]))
        )
    return tuple(found)


def discard(leftover: Leftover, clients: Clients, store: Store) -> None:
    """Deletes something that a fine-tune left; what is gone already is no error.

    Raises:
        AccessError: these credentials may not.
        ServiceError: it may be asked again.
    """
    with translated(f"deleting {leftover.what} {leftover.place}"):
        try:
            if leftover.place.startswith("s3://"):
                store.delete(leftover.place)
            else:
                clients.sagemaker.delete_model_package(ModelPackageName=leftover.place)
        except ClientError as error:
            if not GONE.search(str(error)):
                raise
