#!/usr/bin/env bash
# moto heeds If-Match in PutObject, and not in CompleteMultipartUpload: an upload that S3 would refuse with 412 overwrites
# the newer object, so a test of conditional writes by multipart passes whatever the program does.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check 'moto[s3]==5.2.5' boto3==1.44.8
echo "moto 5.2.5, boto3 1.44.8"
AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1 venv/bin/python - <<'PY'
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

with mock_aws():
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    old = s3.put_object(Bucket="bucket", Key="key", Body=b"old")["ETag"]
    s3.put_object(Bucket="bucket", Key="key", Body=b"newer")

    try:
        s3.put_object(Bucket="bucket", Key="key", Body=b"mine", IfMatch=old)
        put = "done"
    except ClientError as error:
        put = error.response["Error"]["Code"]

    upload = {"Bucket": "bucket", "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"mine")["ETag"]
    try:
        s3.complete_multipart_upload(
            **upload, IfMatch=old, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
        )
        multipart = "done"
    except ClientError as error:
        multipart = error.response["Error"]["Code"]
    stands = s3.get_object(Bucket="bucket", Key="key")["Body"].read()

print(f"PutObject with an old ETag:               {put}")
print(f"CompleteMultipartUpload with the same:    {multipart}")
print(f"what stands there, where it was b'newer': {stands}")
if (put, multipart, stands) != ("PreconditionFailed", "done", b"mine"):
    sys.exit("otherwise than found: CompleteMultipartUpload heeds If-Match")
print("as found")
PY
