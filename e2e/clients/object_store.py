"""A client of S3-compatible object stores: object_store.py ENDPOINT COMMAND …"""

import json
import sys

import boto3
from botocore.config import Config

endpoint, command, *words = sys.argv[1:]


def client(service):
    retries = Config(retries={"max_attempts": 10}, s3={"addressing_style": "path"}, proxies={})
    keys = {"aws_access_key_id": "AK", "aws_secret_access_key": "SK", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=endpoint, config=retries, **keys)


if command == "make":
    client("s3").create_bucket(Bucket=words[0])
elif command == "put":
    for key in words[1:]:
        client("s3").put_object(Bucket=words[0], Key=key, Body=key.encode())
elif command == "upload":
    bucket, key, file = words
    client("s3").upload_file(file, bucket, key)
elif command == "download":
    bucket, key, file = words
    client("s3").download_file(bucket, key, file)
elif command == "delete":
    for key in words[1:]:
        client("s3").delete_object(Bucket=words[0], Key=key)
elif command == "notify":
    bucket, url = words
    topic = client("sns").create_topic(Name="objects")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    notification = {"TopicConfigurations": [{"TopicArn": topic, "Events": events}]}
    client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notification)
else:
    sys.exit(f"no command {command}")
print(json.dumps({"done": command}))
