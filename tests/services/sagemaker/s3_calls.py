"""What S3 calls its operations, as far as mistakes are planned for them."""

from __future__ import annotations

OPERATIONS = {
    ("POST", "object", "uploads"): "CreateMultipartUpload",
    ("POST", "object", "uploadId"): "CompleteMultipartUpload",
    ("PUT", "object", "partNumber"): "UploadPart",
    ("GET", "object", "uploadId"): "ListParts",
    ("DELETE", "object", "uploadId"): "AbortMultipartUpload",
    ("PUT", "object", None): "PutObject",
    ("GET", "object", None): "GetObject",
    ("HEAD", "object", None): "HeadObject",
    ("DELETE", "object", None): "DeleteObject",
    ("GET", "bucket", "uploads"): "ListMultipartUploads",
    ("GET", "bucket", "location"): "GetBucketLocation",
    ("GET", "bucket", "list-type"): "ListObjectsV2",
    ("POST", "bucket", "delete"): "DeleteObjects",
    ("HEAD", "bucket", None): "HeadBucket",
    ("PUT", "bucket", None): "CreateBucket",
}
"""S3's name of a call, by its method, what it is about, and the part of the query that tells it from others."""

CALLS = frozenset(OPERATIONS.values())
